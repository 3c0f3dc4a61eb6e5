"""The operator's tools: what support looks up, the side-door audit, the move to another key."""
