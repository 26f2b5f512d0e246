#!/usr/bin/env bash
# A Cloud TPU pod slice: the same command on every host; JAX finds the other hosts by itself.
#
#   TPU=my-slice ZONE=us-central2-b launch/tpu_pod.sh configs/STUDY.py --workdir /mnt/shared/runs/study --kd.mesh.fsdp 16
#
# A paper's pair on a slice of eight chips (its memory: docs/papers.md):
#
#   TPU=my-slice ZONE=us-central2-b launch/tpu_pod.sh configs/llama3_2_1b_from_qwen2_5_math.py --only eta \
#     --workdir /mnt/shared/runs/llama3_2_1b --eta.mesh.fsdp 8
#
# The repository must lie in ~/jaxkd on every host, installed with `pip install -e '.[tpu]'`:
#
#   gcloud compute tpus tpu-vm ssh "$TPU" --zone "$ZONE" --worker all --command "cd jaxkd && pip install -e '.[tpu]'"
#
# The workdir must be on a disk that all hosts mount.  A stage that fills a teacher cache runs in one process: run it
# first, with `--only NAME`, on a single-host slice.
set -euo pipefail

: "${TPU:?set TPU to the name of the slice}" "${ZONE:?set ZONE to its zone}"
if [ $# -lt 1 ]; then
  echo "usage: TPU=NAME ZONE=ZONE launch/tpu_pod.sh CONFIG [OVERRIDES]" >&2
  exit 2
fi
printf -v arguments '%q ' "$@"
exec gcloud compute tpus tpu-vm ssh "$TPU" --zone "$ZONE" --worker all \
  --command "cd jaxkd && JAXKD_DISTRIBUTED=1 python -m jaxkd.train --config $arguments"
