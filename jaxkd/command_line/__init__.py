"""Command line of a study: its options, a short help, and suggestions for mistyped ones."""
