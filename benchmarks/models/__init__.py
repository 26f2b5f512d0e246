"""Models: loading, compiling, sampling, surgery, installing."""
