use std::{collections::BTreeMap, time::Duration};

use super::{Mesh, Wishes, lone::IMPATIENT, users::Request};
use crate::cluster::{eventually, within};

/// How long agents and users may be without a leader.
const LED_AGAIN_WITHIN: Duration = Duration::from_secs(60);

fn get(path: &str) -> Request<'_> {
    Request { method: "GET", path, body: "" }
}

impl Mesh {
    /// Who says that it leads. Of those that are cut off, more than one may for a while.
    fn leaders(&self) -> Vec<String> {
        let leads = |name: &String| {
            self.ask(name, &get("/leader-health")).is_some_and(|it| it.status == 200)
        };
        self.schedulers().into_iter().filter(leads).collect()
    }

    fn leader(&self) -> String {
        eventually("one leads", || match self.leaders().as_slice() {
            [one] => Some(one.clone()),
            _ => None,
        })
    }

    /// What was asked for and not acknowledged is done or never will be, once something later is.
    fn knows_what_became_of_all(&mut self) {
        assert!(self.create("after", 3), "nobody acknowledges anything");
    }

    fn another_leads_than(&self, before: &str) -> String {
        let another =
            within(LED_AGAIN_WITHIN, || self.leaders().into_iter().find(|it| it != before));
        another.unwrap_or_else(|| panic!("nobody leads instead of {before}"))
    }
}

#[test]
fn three_schedulers_and_five_agents_find_each_other_with_no_address_given() {
    let mut mesh = Mesh::of(3, 5, Wishes { no_address: true, ..Wishes::default() });
    mesh.gets("spread", 50);
    let mut counts: BTreeMap<String, u32> = BTreeMap::new();
    for one in mesh.alive().into_values().flatten() {
        *counts.entry(one.host).or_default() += 1;
    }
    assert!(counts.len() == 8 && counts.values().all(|it| (4..=9).contains(it)), "{counts:?}");

    // Whoever is asked, the answer is the leader's.
    let leader = mesh.leader();
    let routes = routes(&mesh, &leader);
    assert!(25 < routes.len(), "{routes:?}");
    for route in &routes {
        let expected = mesh.ask(&leader, &get(route)).map(|it| it.status);
        assert!(expected.is_some_and(|it| it < 500), "{route} at {leader}: {expected:?}");
        for name in mesh.schedulers() {
            let status = mesh.ask_by_way_of(&name, &get(route)).map(|it| it.status);
            assert_eq!(status, expected, "{route} by way of {name}");
        }
    }
    // What changes something, too: nothing is done by whoever does not lead.
    for (method, path) in changes(&mesh, &leader) {
        let request = Request { method: &method, path: &path, body: "{}" };
        for name in mesh.schedulers().into_iter().filter(|it| *it != leader) {
            let answer = mesh.ask(&name, &request).map(|it| (it.status, it.location));
            let there = Some((307, Some(format!("{}{path}", mesh.api_of(&leader)))));
            assert_eq!(answer, there, "{method} {path} at {name}");
        }
    }
    for name in mesh.schedulers() {
        assert!(mesh.create_by_way_of(&name, &format!("by-{name}"), 2), "{name}");
    }
    mesh.is_whole();
}

/// Whatever the API says that can be changed.
fn changes(mesh: &Mesh, leader: &str) -> Vec<(String, String)> {
    let said = mesh.ask(leader, &get("/api/v1/openapi.json")).unwrap().json();
    let paths = said["paths"].as_object().unwrap().iter();
    let methods = paths.flat_map(|(path, it)| {
        let methods = it.as_object().unwrap().keys();
        methods.map(|it| (it.to_uppercase(), path.replace(['{', '}'], "")))
    });
    methods.filter(|(method, _)| method != "GET").collect()
}

/// Each says that of itself, or for ever.
const IS_OWN: [&str; 2] = ["/leader-health", "/api/v1/events"];

/// Pages, and whatever the API says that can be read, about things that there are.
fn routes(mesh: &Mesh, leader: &str) -> Vec<String> {
    let task = mesh.instances("spread")[0]["task_id"].as_str().unwrap().to_owned();
    let said = mesh.ask(leader, &get("/api/v1/openapi.json")).unwrap().json();
    let paths = said["paths"].as_object().unwrap().iter();
    let readable = paths.filter(|(_, it)| it["get"].is_object()).map(|(path, _)| path);
    let known = [
        ("{role}", "www-data"),
        ("{environment}", "test"),
        ("{env}", "test"),
        ("{name}", "spread"),
        ("{task_id}", task.as_str()),
        ("{host}", "a4"),
        ("{instance}", "0"),
        ("{process}", "main"),
        ("{run}", "0"),
        ("{stream}", "stdout"),
        ("{path}", "."),
    ];
    let filled = readable
        .map(|path| known.iter().fold(path.clone(), |path, (from, to)| path.replace(from, to)));
    let mut routes: Vec<_> =
        filled.filter(|it| !it.contains('{') && !IS_OWN.contains(&it.as_str())).collect();
    let pages = [
        "/",
        "/updates",
        "/hosts",
        "/hosts/a4",
        "/scheduler/www-data",
        "/scheduler/www-data/test/spread",
        "/scheduler/www-data/test/spread/0",
    ];
    routes.extend(pages.map(str::to_owned));
    routes.push(format!("/task/{task}"));
    routes
}

/// Has the leader of three in trouble, sees another lead, and that all is well when it is over.
#[track_caller]
fn survives(trouble: impl FnOnce(&mut Mesh, &str), end: impl FnOnce(&mut Mesh, &str)) {
    let mut mesh = Mesh::of(3, 3, IMPATIENT);
    mesh.gets("before", 12);
    let leader = mesh.leader();
    trouble(&mut mesh, &leader);
    let next = mesh.another_leads_than(&leader);
    // Whether these are acknowledged is for the ledger; they must not be half done.
    for number in 0..3 {
        mesh.create(&format!("meanwhile{number}"), 2);
    }
    assert!(mesh.create("later", 3), "{next} leads, and acknowledges nothing");
    end(&mut mesh, &leader);
    mesh.leader();
    mesh.all_are_up();
    mesh.is_whole();
}

#[test]
fn a_leader_that_is_cut_off_leads_no_more_and_nothing_is_lost() {
    survives(|mesh, leader| mesh.cut_off(leader), |mesh, _| mesh.heal());
}

#[test]
fn a_leader_that_is_killed_is_followed_by_another() {
    survives(|mesh, leader| mesh.kill_agent(leader), |mesh, leader| mesh.start(leader));
}

#[test]
fn a_leader_whose_machine_ends_is_followed_by_another() {
    survives(|mesh, leader| mesh.power_off(leader), |mesh, leader| mesh.power_on(leader));
}

#[test]
fn a_leader_that_is_not_heard_is_followed_by_another() {
    survives(|mesh, leader| mesh.silence(leader), |mesh, _| mesh.heal());
}

#[test]
fn a_leader_that_hears_nothing_is_followed_by_another() {
    survives(|mesh, leader| mesh.deafen(leader), |mesh, _| mesh.heal());
}

#[test]
fn all_three_are_started_again_at_once_and_one_of_them_leads() {
    let mut mesh = Mesh::of(3, 3, Wishes::default());
    mesh.gets("steady", 12);
    let before = mesh.alive();
    mesh.restart_all_at_once();
    mesh.leader();
    mesh.all_are_up();
    mesh.gets("after", 3);
    let after = mesh.alive();
    assert!(before.iter().all(|(it, alive)| after.get(it) == Some(alive)), "{before:?} {after:?}");
}

#[test]
fn a_leader_whose_disk_is_full_is_followed_by_another() {
    let mut mesh = Mesh::prepared(3, 2, IMPATIENT);
    mesh.have_small_disk("s1");
    mesh.start_all();
    mesh.gets("before", 6);
    assert_eq!(mesh.leader(), "s1");
    mesh.fill_disk("s1");
    eventually("another says yes", || {
        {
            let number = mesh.chance.within(0..1_000_000);
            mesh.create(&format!("full{number}"), 1) && mesh.leaders() != ["s1"]
        }
        .then_some(())
    });
    mesh.recover_disk("s1");
    mesh.all_are_up();
    mesh.gets("after", 3);
}

#[test]
fn a_leader_whose_clock_is_hours_wrong_harms_nobody() {
    let mut mesh = Mesh::prepared(3, 2, Wishes::default());
    mesh.set_clock("s1", 3 * 3600);
    mesh.start_all();
    mesh.gets("skewed", 10);
    let before = mesh.alive();
    assert_eq!(mesh.leader(), "s1");
    mesh.kill_agent("s1");
    // By the clock of this one, all that is known is from the future.
    mesh.another_leads_than("s1");
    assert!(mesh.create("later", 4));
    mesh.start("s1");
    mesh.all_are_up();
    mesh.is_whole();
    let after = mesh.alive();
    assert!(before.iter().all(|(it, alive)| after.get(it) == Some(alive)), "{before:?} {after:?}");
}

#[test]
fn nothing_is_lost_though_a_third_of_all_is_and_the_rest_is_late() {
    let mut mesh = Mesh::of(3, 3, Wishes::default());
    mesh.gets("fair", 8);
    mesh.weather(30, 300);
    // Whether anybody leads for long enough to say yes is chance.
    for number in 0..4 {
        mesh.create(&format!("foul{number}"), 3);
    }
    mesh.kill_job("fair");
    mesh.weather(0, 0);
    mesh.leader();
    mesh.knows_what_became_of_all();
    mesh.is_whole();
}

#[test]
fn whichever_process_is_killed_nothing_acknowledged_is_lost() {
    let mut mesh = Mesh::of(3, 2, Wishes::default());
    mesh.gets("steady", 10);
    let names = mesh.names();
    for round in 0..8 {
        let name = mesh.chance.one_of(&names).clone();
        if mesh.chance.happens(30) {
            mesh.kill_a_shepherd(&name);
        } else {
            mesh.kill_agent(&name);
            mesh.create(&format!("without{round}"), 2);
            mesh.start(&name);
        }
        mesh.create(&format!("round{round}"), 2);
    }
    mesh.all_are_up();
    mesh.knows_what_became_of_all();
    mesh.is_whole();
}
