"""An older MLflow's database: `migrate` moves it to the tables of the image, and nothing is lost."""

import pytest

OLDER = "5d2d30f0abce"  # the tables of MLflow 3.8
MAKES_OLDER = f"""
import alembic.command
import sqlalchemy
from mlflow.store.db.utils import _get_alembic_config
from mlflow.store.tracking.dbmodels.initial_models import Base

password = open("/run/secrets/postgres_password").read().strip()
url = f"postgresql+psycopg2://keraspipe:{{password}}@postgres/mlflow"
engine = sqlalchemy.create_engine(url)
Base.metadata.create_all(engine)
with engine.begin() as connection:
    config = _get_alembic_config(url)
    config.attributes["connection"] = connection
    alembic.command.upgrade(config, "{OLDER}")
    connection.execute(sqlalchemy.text(
        "INSERT INTO experiments (name, artifact_location, lifecycle_stage)"
        " VALUES ('older', '/mlartifacts/older', 'active')"
    ))
"""


@pytest.fixture(scope="module")
def older(stack, published):
    """The stack with an older MLflow's database; today's is put back in the end."""
    stack.compose("stop", "mlflow")
    swap(stack, "mlflow", "mlflow_today")
    stack.sql("CREATE DATABASE mlflow", database="postgres")
    stack.compose("run", "--rm", "-T", "migrate", "python", "-c", MAKES_OLDER)
    yield stack
    stack.compose("stop", "mlflow")
    stack.sql("DROP DATABASE mlflow", database="postgres")
    swap(stack, "mlflow_today", "mlflow")
    stack.compose("up", "--detach", "--wait", "mlflow")


def swap(stack, old: str, new: str) -> None:
    stack.sql(f"ALTER DATABASE {old} RENAME TO {new}", database="postgres")


def test_an_older_database_is_moved_and_served(older, published):
    older.compose("run", "--rm", "migrate")
    version = "SELECT version_num FROM alembic_version"
    assert older.sql(version, database="mlflow_today") == older.sql(version)
    older.compose("up", "--detach", "--wait", "mlflow")
    found = older.get("MLFLOW_PORT", "/api/2.0/mlflow/experiments/search", {"max_results": 10})["experiments"]
    assert "older" in {experiment["name"] for experiment in found}
