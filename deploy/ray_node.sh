#!/bin/bash
# ray_node.sh head|worker HOST PORT: make this machine a node of a cluster of Ray whose head listens at HOST:PORT.
# The head then runs `make run` on the cluster and ends with it; a worker ends when its head does.
# Call it in the root folder of the project. VENV names the environment, by default .venv.
set -euo pipefail
role=$1 host=$2 port=$3
export VENV=${VENV:-$PWD/.venv}
export PATH=$VENV/bin:$PATH
export RAY_USAGE_STATS_ENABLED=0 RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S=0 # the latter is for servers of requests
seconds_to_wait=300

refuse() { # FOUND, EXPECTED, FIX
    echo "error: found $1, expected $2; fix: $3" >&2
    exit 1
}

listens() {
    (exec 3<>"/dev/tcp/$host/$port") 2>/dev/null
}

command -v ray >/dev/null ||
    refuse "no Ray in $VENV" "it" "$VENV/bin/pip install -r requirements-cluster.txt -c constraints.txt"
# by affinity and by the quota of a container; Ray counts all cores of the machine
cores=$(python -c 'from pipeline.core.cores import count_cores; print(count_cores())')
case $role in
head)
    ! listens || refuse "another program at $host:$port" "a free port" "give another one"
    ray start --head --node-ip-address="$host" --port="$port" --num-cpus="$cores" --include-dashboard=false --block &
    head=$!
    trap 'kill "$head" 2>/dev/null && wait "$head" || true' EXIT
    # its port is open before the node is ready
    until listens && python -c "import ray; ray.init('$host:$port', logging_level='ERROR')" 2>/dev/null; do
        kill -0 "$head" 2>/dev/null || refuse "a head of Ray that ended" "one at $host:$port" "see its lines above"
        sleep 1
    done
    make run CLUSTER="$host:$port"
    ;;
worker)
    until listens; do
        ((SECONDS < seconds_to_wait)) ||
            refuse "nobody at $host:$port in $seconds_to_wait seconds" "the head" "start it; open its ports to this node"
        sleep 1
    done
    while listens; do # a node ends when its head ends, and joins again after a failure of its own
        ray start --address="$host:$port" --num-cpus="$cores" --block || sleep 1
    done
    ;;
*)
    refuse "$role" "head or worker" "ray_node.sh head HOST PORT"
    ;;
esac
