"""The stages: each reads files, computes, and writes files."""
