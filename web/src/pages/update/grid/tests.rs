use airglow_model::{
    ids::{JobKey, UpdateId, UpdateKey},
    update::{Failure, InstanceEvent, Order, Roll, Side, Work},
};

use super::*;

fn set(text: &str) -> InstanceSet {
    text.parse().unwrap()
}

/// Of instances 0 to 9 in batches of 4: 0 to 3 are over, 4 to 7 are in work, 8 and 9 wait.
fn halfway() -> UpdateView {
    let key = UpdateKey { job: JobKey::new("www", "prod", "web"), id: UpdateId("u".into()) };
    let mut update = Update::unborn(key);
    let order = Order { update: set("0-9"), ..Order::default() };
    update.target = Some(Side { config: ConfigId(2), instances: set("0-9") });
    update.initial = vec![Side { config: ConfigId(1), instances: set("0-9") }];
    update.settings.strategy = Strategy::Batch { size: 4, autopause: false };
    update.status = airglow_model::update::Status::RollingForward;
    update.roll = Roll::new(Direction::Forward, order);
    update.roll.idle = set("8-9");
    update.roll.done = set("0-2");
    let failure = Failure { at: Timestamp(1), why: "exited (FAILED)".into(), task: None };
    update.roll.failed.insert(3, failure);
    let work = |may_end| Work { since: Timestamp(2), excused: 0, may_end };
    update.roll.working.extend([(4, work(true)), (5, work(true)), (6, work(true))]);
    update.roll.working.insert(7, work(false));
    let told = |at, instances: std::ops::RangeInclusive<u32>, message: &str| {
        let event = |instance| InstanceEvent {
            at: Timestamp(at),
            instance,
            action: airglow_model::update::Action::Updating,
            message: message.into(),
        };
        instances.map(event).collect()
    };
    // The second turn of 4 is told of twice.
    let lots = [(1, told(1, 0..=3, "")), (2, told(2, 4..=7, "")), (3, told(3, 4..=4, "passed"))];
    UpdateView { update, lots: lots.into() }
}

#[test]
fn batches_that_were_begun_are_followed_by_those_to_come() {
    let grid = Grid::of(None, &halfway());
    assert_eq!(grid.ranges(), "over:0-3 now:4-7 next:8-9");
    assert_eq!(grid.cells, "dddfssshww");
    let legend: Vec<_> =
        grid.legend.iter().map(|it| (it.look.name, it.count, it.instances.as_str())).collect();
    let expected = [
        ("waiting for its turn", 2, "8-9"),
        ("held back by the SLA", 1, "7"),
        ("starting", 3, "4-6"),
        ("done", 3, "0-2"),
        ("failed", 1, "3"),
    ];
    assert_eq!(legend, expected);
}

#[test]
fn what_needs_nothing_is_a_group_of_its_own_and_a_queue_has_none() {
    let mut it = halfway();
    it.update.roll.idle = set("9");
    assert_eq!(Grid::of(None, &it).ranges(), "over:0-3 now:4-7 right:8 next:9");
    it.update.settings.strategy = Strategy::Queue { size: 3 };
    let grid = Grid::of(None, &it);
    assert_eq!((grid.ranges().as_str(), grid.has_batches()), ("all:0-9", false));
}

#[test]
fn whoever_ended_in_the_middle_is_shown_so() {
    let mut it = halfway();
    it.update.status = airglow_model::update::Status::Aborted;
    assert_eq!(Grid::of(None, &it).cells, "dddfllllww");
}

#[test]
fn long_lists_are_cut_between_instances() {
    let odd: InstanceSet = (0..100).filter(|it| it % 2 == 1).collect();
    let text = brief(&odd);
    assert!(text.starts_with("50 instances 1,3,5,7") && text.ends_with("33 and more"), "{text}");
    assert_eq!([brief(&set("3")), brief(&set("0-2"))], ["instance 3", "3 instances 0-2"]);
}
