"""The domain that reaches people and endpoints."""
