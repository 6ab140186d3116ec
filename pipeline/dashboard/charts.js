// The charts of a run's page in MLflow, when it is opened first: training and validation of a metric in one chart, first;
// no bar for a number that is measured once, because the overview has it. MLflow keeps what the user changes there.
// Source: RunViewMetricCharts.tsx and runs-charts.types.ts in MLflow's mlflow/server/js name the fields.
(() => {
  const CHARTS = /^MLflowLocalStorage-[\d.]+-RunPage-(\w+)-model-chartUIState$/;
  const ASSISTANT = "mlflow.assistant.fab.autoOpenedOnFirstLoad_v1"; // needs a language model; opens by its button
  const SECTION = "training-and-validation";
  const { getItem, setItem } = Storage.prototype;
  const running = new Set(); // their charts are not kept, because more metrics come

  Storage.prototype.getItem = function (key) {
    const kept = getItem.call(this, key);
    if (kept !== null) return kept;
    if (key === ASSISTANT) return "true";
    const [, run] = CHARTS.exec(key) ?? [];
    return run ? chooseCharts(key, run) : null;
  };

  Storage.prototype.setItem = function (key, value) {
    if (!running.has(key)) setItem.call(this, key, value);
  };

  function chooseCharts(key, id) {
    try {
      const { info, data } = readRun(id);
      if (info.status === "RUNNING") running.add(key);
      const metrics = (data.metrics ?? []).filter(({ key: name }) => !name.startsWith("system/"));
      return JSON.stringify(pageState(metrics));
    } catch {
      return null; // MLflow's own charts
    }
  }

  function readRun(id) {
    const request = new XMLHttpRequest();
    request.open("GET", `ajax-api/2.0/mlflow/runs/get?run_id=${id}`, false);
    request.send();
    return JSON.parse(request.responseText).run;
  }

  function pageState(metrics) {
    const names = new Set(metrics.map(({ key }) => key));
    const pairs = [...names].filter((name) => names.has(`val_${name}`));
    pairs.sort((one, other) => (other === "loss") - (one === "loss") || one.localeCompare(other));
    const validation = pairs.map((name) => `val_${name}`);
    const single = metrics.filter(({ key, step }) => !(Number(step) >= 1) && !pairs.includes(key)).map(({ key }) => key);
    const hidden = [...new Set([...validation, ...single])];
    const section = { uuid: SECTION, name: "Training and validation", display: true, isReordered: false };
    return {
      isAccordionReordered: true,
      compareRunCharts: [...pairs.map(jointChart), ...hidden.map(hiddenChart)],
      compareRunSections: [{ ...section, deleted: false, isGenerated: false }],
      autoRefreshEnabled: true,
      globalLineChartConfig: { xAxisKey: "step", lineSmoothness: 0, selectedXAxisMetricKey: "" },
    };
  }

  function jointChart(name) {
    return {
      ...chart(name, "LINE"),
      displayName: name,
      selectedMetricKeys: [name, `val_${name}`],
      lineSmoothness: 0,
      xAxisScaleType: "linear",
      scaleType: "linear",
      xAxisKey: "step",
      selectedXAxisMetricKey: "",
      yAxisKey: "metric",
      yAxisExpressions: [],
      range: {},
      ignoreOutliers: false,
      useGlobalXaxisKey: true,
      useGlobalLineSmoothing: true,
    };
  }

  function hiddenChart(name) {
    return { ...chart(name, "BAR"), deleted: true };
  }

  function chart(name, type) {
    const place = { uuid: `${SECTION}-${name}`, metricSectionId: SECTION, runsCountToCompare: 10 };
    return { type, metricKey: name, ...place, deleted: false, isGenerated: false };
  }
})();
