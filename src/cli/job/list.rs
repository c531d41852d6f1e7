//! `airglow job list`.

use std::{io::Write, rc::Rc};

use airglow_web::api::JobSummary;

use super::{Failure, FullKey, Global, Outcome, Pattern, Session, screen};

/// A job that a pattern matched, where it is.
pub(super) struct Match {
    pub(crate) session: Rc<Session>,
    pub(crate) key: FullKey,
    pub(crate) summary: JobSummary,
}

/// All jobs that `pattern` matches, in all clusters that it matches.
pub(super) fn find(pattern: &Pattern, global: &Global) -> Result<Vec<Match>, Failure> {
    let mut matches = Vec::new();
    for cluster in global.clusters()?.matching(&pattern.cluster) {
        let session = Rc::new(match &cluster {
            Some(name) => global.session(name)?,
            None => global.only_session()?,
        });
        let mut jobs = session.client.jobs(&[])?;
        jobs.retain(|it| pattern.matches(&it.key()));
        let Some(there) = session.cluster(&jobs)? else { continue };
        if let Some(wanted) = cluster.filter(|it| *it != there) {
            return Err(session.elsewhere(&wanted, &there));
        }
        matches.extend(jobs.into_iter().map(|summary| {
            let key = FullKey { cluster: there.clone(), job: summary.key() };
            Match { session: session.clone(), key, summary }
        }));
    }
    Ok(matches)
}

pub(crate) fn run(pattern: &Pattern, global: &Global) -> Outcome {
    let matches = find(pattern, global)?;
    if global.write_json {
        let jobs: Vec<_> = matches.iter().map(|it| (&it.key, &it.summary)).map(described).collect();
        return screen::json(&jobs);
    }
    let mut out = screen::out();
    for Match { key, .. } in matches {
        writeln!(out, "{key}")?;
    }
    Ok(())
}

fn described((key, summary): (&FullKey, &JobSummary)) -> serde_json::Value {
    serde_json::json!({ "job": key.to_string(), "summary": summary })
}
