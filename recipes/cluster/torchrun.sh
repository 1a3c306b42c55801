#!/bin/bash
# Train by a recipe, or by 'visiontasks fit', where nothing schedules: torchrun starts a process for each GPU, and all of
# them again when one has died; they go on from the last checkpoint of the run. The same line goes on later, too.
#     RUN=coco recipes/cluster/torchrun.sh recipes/coco_detection.py --data.root FOLDER
# On several machines, the same line on each of them, where HOST is the address of one, and the current folder is on a
# disk that they share:
#     RUN=coco NODES=2 HOST=10.0.0.1 recipes/cluster/torchrun.sh fit --data COCODataModule --data.root FOLDER

set -euo pipefail

run=${RUN:?give a name by RUN=NAME: its run goes on if there is one}
nodes=${NODES:-1}
processes=${PROCESSES:-$(nvidia-smi --list-gpus | wc -l)}

# Behind --, torchrun takes no flag for its own.
case ${1:?give a recipe, such as recipes/coco_detection.py, or fit} in
    *.py) command=(-- "$1") ;;
    *) command=(-m -- visiontasks "$1") ;;
esac
shift

if ((nodes > 1)); then
    meeting=(--nnodes "$nodes" --rdzv-backend c10d --rdzv-id "$run")
    meeting+=(--rdzv-endpoint "${HOST:?give the address of one of the machines by HOST=ADDRESS}:${PORT:-29500}")
else
    meeting=(--standalone)
fi

# A machine that is restarted itself needs this line again; the others wait for it.
exec torchrun "${meeting[@]}" --nproc-per-node "$processes" --max-restarts "${RESTARTS:-3}" "${command[@]}" \
    --ckpt_path last --run "$run" --trainer.devices "$processes" --trainer.num_nodes "$nodes" "$@"
