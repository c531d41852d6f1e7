use std::fmt::Debug;

use airglow_kit::link::LONGEST;
use airglow_model::{
    ids::HostId,
    reconcile,
    reports::{Acks, Concern},
    task::Task,
    wire::{ToExecutor, ToScheduler},
};
use serde::{Serialize, de::DeserializeOwned};
use tokio_util::{
    bytes::BytesMut,
    codec::{Decoder, LengthDelimitedCodec},
};

/// Bytes as they come in on a link, in frames, to either side.
pub fn frames(input: &[u8]) {
    let mut codec = LengthDelimitedCodec::builder().max_frame_length(LONGEST).new_codec();
    let mut stream = BytesMut::from(input);
    let mut acks = Acks::default();
    while let Ok(Some(frame)) = codec.decode(&mut stream) {
        if let Some(said) = read::<ToScheduler>(&frame) {
            hear(&said, &mut acks);
        }
        read::<ToExecutor>(&frame);
    }
}

/// What is read once is the same when it is said again.
fn read<T: DeserializeOwned + Serialize + PartialEq + Debug>(frame: &[u8]) -> Option<T> {
    let said: T = serde_json::from_slice(frame).ok()?;
    let again = serde_json::to_vec(&said).expect("every message can be written");
    let heard: T = serde_json::from_slice(&again).expect("and read");
    assert_eq!(heard, said);
    Some(said)
}

/// As a session does, with a scheduler that knows nothing.
fn hear(said: &ToScheduler, acks: &mut Acks) {
    match said {
        ToScheduler::Inventory { tasks } => {
            let host = HostId::from("h");
            let strangers = tasks.iter().filter(|it| !it.state.is_terminal()).count();
            let corrections = reconcile::compare(&host, [], tasks);
            assert!(corrections.len() <= strangers, "a stranger is killed once");
        }
        ToScheduler::Status(status) => {
            acks.arrived(status);
            let slot = Task::unborn(status.task.clone());
            slot.stray(&"h".into(), &status.task_id, status.state);
            Concern::of(false, false, status.state);
            acks.settled(status.seq);
        }
        ToScheduler::Hello(_)
        | ToScheduler::Processes { .. }
        | ToScheduler::Answer { .. }
        | ToScheduler::Renew { .. }
        | ToScheduler::Ping { .. }
        | ToScheduler::Unknown => {}
    }
}
