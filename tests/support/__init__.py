"""What tests need around them: real S3 servers, and a relay that makes the network go wrong."""
