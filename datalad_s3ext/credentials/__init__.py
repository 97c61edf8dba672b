"""Who asks: where keys come from, and how they stay secret."""
