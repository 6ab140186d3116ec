"""The page of MLflow's server that chooses the charts of a run; tests/e2e looks at it in a browser."""

import re
import warnings

import pytest

from pipeline.dashboard import server


@pytest.fixture(scope="module")
def browser():
    """A client of MLflow's server with our page."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of MLflow's own imports
        from pipeline.dashboard import page

    return page.pages.test_client()


def test_the_script_comes_before_those_of_mlflow(browser):
    with browser.get("/") as answer:
        text = answer.get_data(as_text=True)
        assert 0 < text.index("chooseCharts") < text.index('src="static-files/')
        assert int(answer.headers["Content-Length"]) == len(answer.get_data())


def test_a_browser_that_has_the_page_of_mlflow_gets_this_one(browser):
    former = {"If-None-Match": "*", "If-Modified-Since": "Fri, 01 Jan 2100 00:00:00 GMT"}
    with browser.get("/", headers=former) as answer:
        assert (200, None) == (answer.status_code, answer.headers.get("ETag"))


def test_other_files_stay_as_they_are(browser):
    with browser.get("/") as index:
        script = re.search(r'src="(static-files/static/js/main\.\w+\.js)"', index.get_data(as_text=True))[1]
    with browser.get(f"/{script}") as answer:
        assert b"chooseCharts" not in answer.get_data()


def test_the_server_is_started_with_the_page(settings):
    arguments = server._server_arguments(settings, "sqlite:///mlflow.db", 5000, "127.0.0.1")
    assert ["server", "--app-name", "keraspipe"] == arguments[:3]
