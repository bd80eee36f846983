"""A real Ray cluster on this machine, in a process of its own that takes one JSON command a line.

`{"do": "add", "name": "b", "cpus": 1, "gpus": 0}` starts a node. `{"do": "kill", "name": "b"}` sends SIGKILL to its
raylet, `{"do": "kill_all"}` to every process of every node. `{"do": "list"}` adds the names of the living nodes to
the answer, a line of JSON as for every command.
"""

import json
import os
import signal
import sys

from ray.cluster_utils import Cluster

OBJECT_STORE_BYTES = 80 * 2**20


def kill(node, kind: str) -> None:
    process = node.all_processes[kind][0].process
    os.kill(process.pid, signal.SIGKILL)
    process.wait()  # a zombie would keep its workers waiting


def main() -> None:
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what Ray prints must not mix with the answers
    cluster, nodes = Cluster(), {}

    def add(name: str, *, cpus: float = 1, gpus: float = 0) -> None:
        nodes[name] = cluster.add_node(
            num_cpus=cpus,
            num_gpus=gpus,
            object_store_memory=OBJECT_STORE_BYTES,
            include_dashboard=False,
            node_name=name,
        )

    for line in sys.stdin:
        command = json.loads(line)
        do = command.pop("do")
        if do == "add":
            add(**command)
        elif do == "kill":
            kill(nodes[command["name"]], "raylet")
        elif do == "kill_all":
            for node in nodes.values():
                for kind, info in node.all_processes.items():
                    if info[0].process.poll() is None:
                        kill(node, kind)
        answer = {"address": cluster.address, "nodes": {n: node.node_id for n, node in nodes.items()}}
        if do == "list":
            answer["alive"] = [one["NodeName"] for one in cluster.global_state.node_table() if one["Alive"]]
        answers.write(json.dumps(answer) + "\n")
    for node in nodes.values():
        for kind, info in node.all_processes.items():
            if info[0].process.poll() is None:
                kill(node, kind)


if __name__ == "__main__":
    main()
