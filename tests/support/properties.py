"""The settings of every property: equal examples in every run, few of them, and no database on disk."""

from hypothesis import HealthCheck, settings

FEW = settings(
    derandomize=True,
    max_examples=60,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],  # folders are written anew by each example
)
