"""The documented exchanges as a suite that can be held against any server."""
