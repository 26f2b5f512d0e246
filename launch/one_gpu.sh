#!/usr/bin/env bash
# One machine with one or more NVIDIA GPUs: one process drives all of them.
#
#   pip install -e '.[cuda12]'
#   launch/one_gpu.sh configs/quickstart.py --kd.precision bfloat16
#
# The papers' pairs plan themselves first, with no weights at hand, and use one GPU unless told (docs/papers.md has the
# memory of each, and the flags for more):
#
#   launch/one_gpu.sh configs/gpt2_from_qwen.py --dry-run
#   launch/one_gpu.sh configs/gpt2_from_qwen.py --only eta --eta.mesh.data 2
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

config=${1:-configs/quickstart.py}
shift || true

# JAX reserves 75 % of the memory by default; the rest is of use where nothing else runs on the card.
export XLA_PYTHON_CLIENT_MEM_FRACTION=${XLA_PYTHON_CLIENT_MEM_FRACTION:-0.92}

# Run it again after an interruption (status 75): finished stages are skipped, the others go on.
exec python -m jaxkd.train --config "$config" "$@"
