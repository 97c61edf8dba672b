"""Find out what stands between a person and a bucket: one stage after the other, in plain words."""
