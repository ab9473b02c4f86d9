"""Clusters of which only the environment is simulated."""

import sys
import types

import pytest
from jax._src.clusters import K8sCluster, cloud_tpu_cluster
from jax._src.clusters import cluster as jax_cluster

from vae_jax.errors import UserError
from vae_jax.runtime.cluster import Cluster
from vae_jax.runtime.cluster_detection import find_cluster

_OPEN_MPI = {
    "OMPI_MCA_orte_hnp_uri": "1531576320.0;tcp://10.96.0.1,10.148.0.1:34911",
    "OMPI_COMM_WORLD_SIZE": "4",
    "OMPI_COMM_WORLD_RANK": "3",
    "OMPI_COMM_WORLD_LOCAL_RANK": "1",
}
_SLURM = {
    "SLURM_JOB_ID": "123456",
    "SLURM_STEP_NODELIST": "node[007-015],host2",
    "SLURM_NTASKS": "18",
    "SLURM_PROCID": "5",
    "SLURM_LOCALID": "1",
}
_TPU = {
    "TPU_WORKER_HOSTNAMES": "localhost,other",
    "TPU_WORKER_ID": "1",
    "MEGASCALE_COORDINATOR_ADDRESS": "localhost:8080",
    "MEGASCALE_NUM_SLICES": "2",
    "MEGASCALE_SLICE_ID": "1",
    "TPU_SKIP_MDS_QUERY": "1",
}
_OTHERS = (
    "KUBERNETES_SERVICE_HOST", "JOB_COMPLETION_INDEX", "TPU_PROCESS_ADDRESSES",
    "JAX_COORDINATOR_ADDRESS", "JAX_COORDINATOR_PORT", "JAX_LOCAL_DEVICE_IDS",
)  # fmt: skip


@pytest.fixture
def simulate(monkeypatch):
    """Returns a function that sets environment variables; all others of clusters are not set."""
    for name in (*_OPEN_MPI, *_SLURM, *_TPU, *_OTHERS):
        monkeypatch.delenv(name, raising=False)

    def set_variables(variables):
        for name, value in variables.items():
            monkeypatch.setenv(name, value)

    return set_variables


@pytest.fixture
def tpu_machine(monkeypatch):
    for module in (cloud_tpu_cluster, jax_cluster):
        monkeypatch.setattr(module, "running_in_cloud_tpu_vm", True)


@pytest.mark.parametrize(
    ("variables", "cluster"),
    [
        # JAX: 61440 + 1531576320 / 4096 mod 4096, and 61440 + 123456 mod 4096
        (_OPEN_MPI, Cluster("10.96.0.1:62624", 4, 3, (1,), is_detected=True)),
        (_SLURM, Cluster("node007:62016", 18, 5, (1,), is_detected=True)),
        (
            _SLURM | {"JAX_COORDINATOR_PORT": "1234"},
            Cluster("node007:1234", 18, 5, (1,), is_detected=True),
        ),
        (
            _SLURM | {"JAX_COORDINATOR_ADDRESS": "host2:1", "JAX_LOCAL_DEVICE_IDS": "0,3"},
            Cluster("host2:1", 18, 5, (0, 3), is_detected=True),
        ),
    ],
)
def test_slurm_and_open_mpi_name_address_numbers_and_gpu(simulate, variables, cluster):
    simulate(variables)
    assert find_cluster() == cluster


def test_the_slices_of_a_tpu_are_one_cluster(simulate, tpu_machine):
    simulate(_TPU)
    assert find_cluster() == Cluster("localhost:8482", 4, 3, is_detected=True)


def test_machines_of_a_tpu_are_found_by_their_metadata(simulate, tpu_machine, monkeypatch):
    metadata = {
        "agent-worker-number": "1",
        "worker-network-endpoints": "a:b:localhost,c:d:other,e:f:third",
        "tpu-env": "",
    }
    monkeypatch.setattr(cloud_tpu_cluster, "get_metadata", lambda key: (metadata[key], 200))
    simulate({})
    assert find_cluster() == Cluster("localhost:8482", 3, 1, is_detected=True)


def test_an_indexed_job_of_kubernetes_is_a_cluster(simulate, monkeypatch):
    config = types.SimpleNamespace(load_incluster_config=lambda: None)
    client = types.SimpleNamespace(
        CoreV1Api=lambda: None,
        BatchV1Api=lambda: None,
        exceptions=types.SimpleNamespace(ApiException=OSError),
    )
    module = types.SimpleNamespace(config=config, client=client)
    monkeypatch.setitem(sys.modules, "kubernetes", module)
    for name in ("_core_api", "_batch_api", "_ApiException"):
        monkeypatch.setattr(K8sCluster, name, None, raising=False)
    labels = {"jobset.sigs.k8s.io/jobset-name": "localdomain"}
    job = types.SimpleNamespace(
        metadata=types.SimpleNamespace(name="train", labels=labels),
        spec=types.SimpleNamespace(parallelism=3),
    )
    monkeypatch.setattr(K8sCluster, "_job", lambda: job)
    monkeypatch.setattr(K8sCluster, "_pod", lambda: None)
    monkeypatch.setattr(K8sCluster, "_controller", lambda: types.SimpleNamespace(kind="Job"))
    monkeypatch.setattr("socket.gethostbyname", lambda name: "10.0.0.1")
    simulate({"KUBERNETES_SERVICE_HOST": "10.0.0.9", "JOB_COMPLETION_INDEX": "2"})
    assert find_cluster() == Cluster("train-0.localdomain:55527", 3, 2, is_detected=True)
    monkeypatch.delenv("JOB_COMPLETION_INDEX")
    with pytest.raises(UserError, match='by setting `completionMode: "Indexed"`'):
        find_cluster()


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({}, "OMPI_MCA_orte_hnp_uri (Open MPI); SLURM_JOB_ID, SLURM_STEP_NODELIST, SLURM_NTASKS, "),
        ({}, "TPU_WORKER_HOSTNAMES (Cloud TPU); KUBERNETES_SERVICE_HOST (Kubernetes)"),
        # what a script of sbatch sees outside of srun
        (
            {n: v for n, v in _SLURM.items() if n != "SLURM_STEP_NODELIST"},
            "SLURM_STEP_NODELIST (Slurm)",
        ),
        (_SLURM | {"SLURM_PROCID": "x"}, "JAX cannot read the cluster (ValueError: invalid lit"),
        (_SLURM | {"SLURM_PROCID": "18"}, "number 18 for this process and 18 processes, whose"),
        (_SLURM | {"JAX_COORDINATOR_PORT": "x"}, "the coordinator node007:x is not HOST:PORT"),
        (_SLURM | {"JAX_COORDINATOR_ADDRESS": "host2"}, "the coordinator host2 is not HOST:PORT"),
        (_OPEN_MPI | {"OMPI_MCA_orte_hnp_uri": "1.0;x"}, "JAX cannot read the cluster (Runtime"),
        (_SLURM | {"JAX_LOCAL_DEVICE_IDS": "all"}, "JAX_LOCAL_DEVICE_IDS=all must be numbers"),
    ],
)
def test_an_environment_that_names_no_cluster_is_refused_in_one_line(simulate, variables, message):
    simulate(variables)
    with pytest.raises(UserError) as error:
        find_cluster()
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_a_missing_package_of_kubernetes_is_named(simulate, monkeypatch):
    monkeypatch.setitem(sys.modules, "kubernetes", None)  # as if it was not installed
    simulate({"KUBERNETES_SERVICE_HOST": "10.0.0.9"})
    with pytest.raises(UserError, match="Kubernetes needs the Python package kubernetes"):
        find_cluster()
