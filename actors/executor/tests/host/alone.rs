//! Tasks without a scheduler.

use airglow_executor::{Alone, AloneConfig, Isolation, Progress, RunAs};
use airglow_model::{ids::TaskId, spec::LoggerSpec, wire::RunState};
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::{bench::outline, orders::order, trials};

trials![
    a_task_runs_without_a_cluster_and_is_watched,
    a_task_that_is_interrupted_is_finalized,
    nothing_is_left_when_it_stops,
];

fn with_alone<F: Future<Output = ()>>(test: impl FnOnce(Alone, std::path::PathBuf) -> F) {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let config = AloneConfig {
        data: data.clone(),
        host: "here".into(),
        binary: std::env::current_exe().unwrap(),
        run_as: RunAs::Oneself,
        isolation: Isolation::default(),
        logger: LoggerSpec::default(),
    };
    actix_rt::System::new().block_on(async { test(Alone::start(config).unwrap(), data).await });
}

fn task(processes: Value) -> airglow_model::wire::Launch {
    order("t", 0, 1, json!({ "processes": processes, "finalization_wait": 5 }))
}

async fn end(seen: &mut watch::Receiver<Progress>) -> Progress {
    seen.wait_for(|it| it.state.is_terminal() && it.view.stage.name == "over")
        .await
        .unwrap()
        .clone()
}

fn a_task_runs_without_a_cluster_and_is_watched() {
    with_alone(|alone, data| async move {
        let cmdline = "echo {{mesos.hostname}} {{thermos.task_id}}";
        let mut seen = alone.launch(task(json!([{ "name": "p", "cmdline": cmdline }])));
        let end = end(&mut seen).await;
        assert_eq!((end.state, end.message.as_str()), (RunState::Finished, "Task finished."));
        assert_eq!(outline(&end.view.processes), "p S");
        let log = data.join("tasks/t/sandbox/.logs/p/0/stdout");
        assert_eq!(std::fs::read_to_string(log).unwrap(), "here t\n");
        alone.stop().await;
    });
}

fn a_task_that_is_interrupted_is_finalized() {
    with_alone(|alone, _| async move {
        let mut seen = alone.launch(task(json!([
            { "name": "p", "cmdline": "sleep 1000" },
            { "name": "f", "cmdline": "true", "final": true },
        ])));
        seen.wait_for(|it| it.state == RunState::Running).await.unwrap();
        alone.kill(&TaskId("t".into()), "Interrupted.");
        let end = end(&mut seen).await;
        assert_eq!((end.state, end.message.as_str()), (RunState::Killed, "Interrupted."));
        assert_eq!(outline(&end.view.processes), "p K, f S");
        alone.stop().await;
    });
}

fn nothing_is_left_when_it_stops() {
    with_alone(|alone, _| async move {
        let cmdline = "trap '' TERM; while :; do sleep 1000; done";
        let mut seen = alone.launch(task(json!([{ "name": "p", "cmdline": cmdline }])));
        let is_up = |it: &Progress| {
            it.view.processes.iter().any(|it| it.runs.len() == 1 && it.runs[0].pid.is_some())
        };
        let pid = seen.wait_for(is_up).await.unwrap().view.processes[0].runs[0].pid.unwrap();
        alone.stop().await;
        assert!(!crate::bench::is_alive(pid));
    });
}
