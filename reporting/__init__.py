"""The domain that tells people how the pipeline did."""
