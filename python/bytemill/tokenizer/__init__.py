"""Text to ids and back: the face of the Rust core."""
