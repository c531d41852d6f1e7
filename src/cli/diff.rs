//! What an update does to a job's instances, in the sections in which Aurora's client told it. What
//! differs in their configurations is shown by place, or by the program in `DIFF_VIEWER`.

use std::{
    io::{self, Write},
    process::Command,
};

use airglow_model::{instances::InstanceSet, spec::JobSpec};
use airglow_web::api::{ConfigDiff, Diff, UpdateForecast};
use serde::Serialize;

use super::{
    Outcome, Session,
    config::Written,
    exit::{Code, Failure},
    forecast,
    key::FullKey,
    screen,
};

/// Which instances would be touched, and how those differ that would change.
#[derive(Debug, Default, PartialEq, Serialize)]
pub(crate) struct Difference {
    pub(crate) add: InstanceSet,
    pub(crate) remove: InstanceSet,
    /// From each configuration that they have.
    pub(crate) update: Vec<ConfigDiff>,
    pub(crate) unchanged: InstanceSet,
}

impl From<UpdateForecast> for Difference {
    fn from(it: UpdateForecast) -> Self {
        Self { add: it.add, remove: it.remove, update: it.configs, unchanged: it.unchanged }
    }
}

impl Difference {
    /// Of what a creation would come to; if `only` some instances are meant, the others stay.
    ///
    /// # Errors
    /// Those that are meant and are neither there nor wanted.
    pub(crate) fn of(diff: Diff, only: Option<&InstanceSet>) -> Result<Self, InstanceSet> {
        let wanted =
            InstanceSet::first(u32::try_from(diff.instances.to).expect("jobs are not that large"));
        let all = |sets: &mut dyn Iterator<Item = &ConfigDiff>| {
            sets.fold(InstanceSet::default(), |all, it| all.union(&it.instances))
        };
        let there = all(&mut diff.configs.iter());
        let same = all(&mut diff.configs.iter().filter(|it| it.changes.is_empty()));
        let known = there.union(&wanted);
        let meant = only.unwrap_or(&known);
        let unheard_of = meant.difference(&known);
        if !unheard_of.is_empty() {
            return Err(unheard_of);
        }
        let stays = wanted.intersection(meant);
        let update = diff.configs.into_iter().filter(|it| !it.changes.is_empty());
        let update =
            update.map(|it| ConfigDiff { instances: it.instances.intersection(&stays), ..it });
        let it = Self {
            add: stays.difference(&there),
            remove: there.difference(&wanted).intersection(meant),
            update: update.filter(|it| !it.instances.is_empty()).collect(),
            unchanged: known.difference(meant).union(&stays.intersection(&same)),
        };
        Ok(it)
    }

    /// With `there` and `local` side by side if the user has a program for that.
    pub(crate) fn show(&self, session: &Session, there: &FullKey, local: &Written) -> Outcome {
        let viewer = std::env::var("DIFF_VIEWER").ok().filter(|it| !it.trim().is_empty());
        let Some(viewer) = viewer.filter(|_| !self.update.is_empty()) else {
            return Ok(screen::out().write_all(self.text().as_bytes())?);
        };
        let configs = session.job(there)?.map(|it| it.configs).unwrap_or_default();
        let local = local.checked()?.config.spec;
        screen::out().write_all(self.head().as_bytes())?;
        for diff in &self.update {
            writeln!(screen::out(), "update instances: {}\nwith diff:", ranges(&diff.instances))?;
            if let Some(remote) = configs.iter().find(|it| it.number == diff.number) {
                view(&viewer, &remote.job, &local)?;
            }
        }
        Ok(screen::out().write_all(self.foot().as_bytes())?)
    }

    fn text(&self) -> String {
        let update = |ConfigDiff { instances, changes, .. }: &ConfigDiff| {
            let changes: String = changes.iter().map(forecast::change).collect();
            format!("update instances: {}\nwith diff:\n{changes}", ranges(instances))
        };
        let mut parts: Vec<_> = self.update.iter().map(update).collect();
        let foot = self.foot();
        if !foot.is_empty() {
            parts.push(foot);
        }
        self.head() + &parts.join("\n")
    }

    fn head(&self) -> String {
        let line = |what: &str, instances: &InstanceSet| match instances.is_empty() {
            true => String::new(),
            false => format!("{what} instances: {}\n", ranges(instances)),
        };
        let (add, remove) = (line("add", &self.add), line("remove", &self.remove));
        format!("This job update will:\n{add}{remove}")
    }

    fn foot(&self) -> String {
        match self.unchanged.is_empty() {
            true => String::new(),
            false => format!("not change instances: {}\n", ranges(&self.unchanged)),
        }
    }
}

/// `[0-5], [7]`
fn ranges(instances: &InstanceSet) -> String {
    let ranges = instances.to_string();
    ranges.split(',').map(|it| format!("[{it}]")).collect::<Vec<_>>().join(", ")
}

/// Runs the user's own program on two files.
fn view(viewer: &str, remote: &JobSpec, local: &JobSpec) -> Outcome {
    let failed = |why: &dyn std::fmt::Display| {
        Failure::new(Code::Failed, format!("Error running diff: {why}"))
            .hint("The program is the one in the environment variable DIFF_VIEWER")
    };
    let (remote, local) = (written("remote-", remote)?, written("local-", local)?);
    let mut words = viewer.split_whitespace();
    let program = words.next().unwrap_or_default();
    let status = Command::new(program).args(words).arg(remote.path()).arg(local.path()).status();
    // Programs like that say by 1 that there are differences.
    match status.map_err(|error| failed(&format!("{program}: {error}")))?.code() {
        Some(0 | 1) => Ok(()),
        Some(code) => Err(failed(&format!("{program} exited with {code}"))),
        None => Err(failed(&format!("{program} was ended by a signal"))),
    }
}

/// As YAML, in which command lines are lines.
fn written(name: &str, job: &JobSpec) -> Result<tempfile::NamedTempFile, Failure> {
    let text = serde_yaml_ng::to_string(job).map_err(io::Error::other)?;
    let mut file = tempfile::Builder::new().prefix(name).suffix(".yaml").tempfile()?;
    file.write_all(text.as_bytes())?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn diff(from: u64, to: u64, configs: Value) -> Diff {
        let diff = json!({"instances": {"from": from, "to": to}, "configs": configs});
        serde_json::from_value(diff).unwrap()
    }

    fn shown(to: u64, configs: &Value, only: Option<&str>) -> String {
        let only = only.map(|it| it.parse().unwrap());
        let difference = Difference::of(diff(9, to, configs.clone()), only.as_ref());
        let text = difference.map_or_else(|it| format!("unheard of: {it}"), |it| it.text());
        anstream::adapter::strip_str(&text).to_string()
    }

    #[test]
    fn what_is_added_changed_and_removed_is_told_in_ranges() {
        let change = json!({"pointer": "/task/processes/0/cmdline", "from": "a", "to": "b"});
        let configs = json!([
            {"number": 1, "instances": "0-1,5-6", "changes": [change]},
            {"number": 2, "instances": "2", "changes": []},
        ]);
        let text = shown(4, &configs, None);
        assert_eq!(
            text,
            "\
This job update will:
add instances: [3]
remove instances: [5-6]
update instances: [0-1]
with diff:
  /task/processes/0/cmdline
  - a
  + b

not change instances: [2]
"
        );
        let some = shown(4, &configs, Some("0,5"));
        assert!(some.contains("remove instances: [5]\nupdate instances: [0]\n"), "{some}");
        assert!(!some.contains("add") && some.ends_with("instances: [1-3], [6]\n"), "{some}");
        assert_eq!(shown(4, &configs, Some("0,7-8")), "unheard of: 7-8");
    }

    #[test]
    fn what_ended_long_ago_is_not_changed() {
        let change = json!({"pointer": "/contact", "to": "ada"});
        let configs = json!([{"number": 1, "instances": "", "changes": [change]}]);
        assert_eq!(shown(2, &configs, None), "This job update will:\nadd instances: [0-1]\n");
    }

    #[test]
    fn a_viewer_may_say_that_there_are_differences_and_nothing_else() {
        let job = |contact: &str| {
            let job = json!({
                "cluster": "c", "role": "r", "environment": "e", "name": "n", "contact": contact,
                "task": {
                    "name": "t", "resources": {"cpu": 1.0, "ram": 1, "disk": 1},
                    "processes": [{"name": "p", "cmdline": "true"}],
                },
            });
            serde_json::from_value::<JobSpec>(job).unwrap()
        };
        let view = |viewer: &str| view(viewer, &job("ada"), &job("bob"));
        assert!(view("diff -q").is_ok() && view("true").is_ok());
        for (viewer, why) in [
            ("nowhere/to/be/found", "Error running diff: nowhere/to/be/found: "),
            ("diff --nonsense", "Error running diff: diff exited with 2"),
        ] {
            let failure = view(viewer).unwrap_err();
            assert_eq!(failure.code(), Some(Code::Failed));
            assert!(failure.to_string().starts_with(why), "{failure}");
        }
    }
}
