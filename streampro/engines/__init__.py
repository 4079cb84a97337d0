"""What computes: the protocol that every engine implements, and a folder per engine."""
