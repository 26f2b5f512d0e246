"""Public kernels: losses from hidden states and heads."""
