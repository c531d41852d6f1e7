use super::*;
use crate::wire::RUNS_SHOWN;

fn stage(play: &Play) -> String {
    let (stage, _) = play.run.view();
    let until = stage.until.map(|it| format!(" until {}s", it.0 / 1000)).unwrap_or_default();
    format!("{}{until}: {}", stage.name, stage.detail)
}

#[test]
fn a_kill_that_takes_long_shows_where_it_is() {
    let processes = "a stubborn : 1000+\n b stubborn : 1000+\n c : 1000+";
    let mut play = Play::new("farewells=mute,heard wait=20", processes);
    assert_eq!(stage(&play), "preparing: waits for its sandbox");
    play.begin();
    assert_eq!(stage(&play), "active: ");
    play.kill(None);
    assert_eq!(stage(&play), "leaving until 5s: is asked to quit over HTTP (/leave1)");
    play.until(5);
    let asked = "leaving until 10s: asked to quit over HTTP (/leave2); waits until it ends";
    assert_eq!(stage(&play), asked);
    play.until(10);
    assert_eq!(stage(&play), "cleaning until 30s: SIGTERM sent; waits for 2 processes to end");
    play.leave_behind("a");
    assert_eq!(
        stage(&play),
        "cleaning until 30s: SIGTERM sent; waits for 1 process and what ended processes left \
         behind to end"
    );
    play.leave_behind("b");
    assert_eq!(
        stage(&play),
        "cleaning until 30s: SIGTERM sent; waits for what ended processes left behind to end"
    );
    play.until(31);
    assert_eq!(stage(&play), "over: ");
}

#[test]
fn it_shows_how_many_of_the_final_processes_have_ended() {
    let mut play = Play::new("max=2 f<g", "a : 1+\n f final : 5+\n g final : 5+\n h final : 1-");
    play.begin().until(1);
    assert_eq!(stage(&play), "finalizing until 31s: 0 of 3 final processes have ended");
    play.until(6);
    assert_eq!(stage(&play), "finalizing until 31s: 2 of 3 final processes have ended");
}

#[test]
fn what_does_not_even_end_by_sigkill_is_seen() {
    let mut play = Play::new("wait=0", "a : 1+\n b : 1+");
    play.begin();
    let run = Run { stage: Stage::Ending { verdict: Verdict::Success }, ..play.run.clone() };
    let detail = run.view().0.detail;
    assert_eq!(detail, "SIGKILL sent; waits for 2 processes to end");
}

#[test]
fn a_task_that_is_checked_waits_until_it_is_healthy() {
    let mut play = Play::new("checked", "a : 100+");
    play.begin();
    assert_eq!(stage(&play), "active: waits until it is healthy");
    play.tell(&Event::Healthy);
    assert_eq!(stage(&play), "active: ");
}

#[test]
fn of_many_runs_the_newest_are_shown() {
    let mut play = Play::new("max=0", "a daemon max=0 wait=0 : 1+");
    play.begin().until(1000);
    let (_, processes) = play.run.view();
    let runs: Vec<_> = processes[0].runs.iter().map(|it| it.run).collect();
    assert_eq!((runs.len(), runs[0], runs[99]), (RUNS_SHOWN, 0, 99));
    let newest: Vec<_> = play.run.processes[0].shown_runs(3).iter().map(|it| it.run).collect();
    assert_eq!(newest, [97, 98, 99]);
}
