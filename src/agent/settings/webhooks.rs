//! Who is told what happens in the cluster, as its operator writes it, and for how long it is
//! remembered who did what.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt, fs,
    path::{Path, PathBuf},
};

use airglow_model::{
    audit::Keep,
    task::Status,
    webhook::{Filter, Hook, Kind, Pace, Secret},
};
use anyhow::{Context, Result, bail};
use serde::Deserialize;
use ureq::http::{HeaderName, HeaderValue, Uri};

use super::policy::time;

/// `[[scheduler.webhooks]]`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WebhookTable {
    name: String,
    url: String,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    /// Headers whose values are in files, which others may not read.
    #[serde(default)]
    header_files: BTreeMap<String, PathBuf>,
    #[serde(default = "all")]
    statuses: Vec<String>,
    #[serde(default = "all")]
    roles: Vec<String>,
    kinds: Option<BTreeSet<Kind>>,
    timeout: Option<String>,
    waiting_max: Option<usize>,
    age_max: Option<String>,
}

impl fmt::Debug for WebhookTable {
    /// Its headers are for nobody's eyes.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebhookTable").field("name", &self.name).finish_non_exhaustive()
    }
}

fn all() -> Vec<String> {
    vec!["*".into()]
}

pub(super) fn read(tables: Vec<WebhookTable>) -> Result<Vec<Hook>> {
    let mut hooks: Vec<Hook> = Vec::new();
    for table in tables {
        let name = table.name.clone();
        if name.is_empty() || hooks.iter().any(|it| it.name == name) {
            bail!("each of scheduler.webhooks has a name of its own, so \"{name}\" is none");
        }
        hooks.push(table.read().with_context(|| format!("scheduler.webhooks \"{name}\""))?);
    }
    Ok(hooks)
}

impl WebhookTable {
    fn read(self) -> Result<Hook> {
        let usual = Pace::default();
        let uri: Uri = self.url.parse().context("url")?;
        if !matches!(uri.scheme_str(), Some("http" | "https")) || uri.host().is_none() {
            bail!("url begins with http:// or https:// and the name of a host");
        }
        let kinds = self.kinds.unwrap_or_else(|| Filter::default().kinds);
        if kinds.is_empty() {
            bail!("kinds is \"task\", \"update\" or both of them");
        }
        let waiting_max = self.waiting_max.unwrap_or(usual.waiting_max);
        if waiting_max == 0 {
            bail!("waiting_max is how many may wait, not 0");
        }
        Ok(Hook {
            name: self.name,
            url: self.url,
            headers: headers(self.headers, &self.header_files)?,
            filter: Filter { kinds, statuses: statuses(self.statuses)?, roles: some(self.roles) },
            pace: Pace {
                timeout: time("timeout", &self.timeout, usual.timeout)?,
                waiting_max,
                age_max: time("age_max", &self.age_max, usual.age_max)?,
                ..usual
            },
        })
    }
}

fn headers(
    written: BTreeMap<String, String>,
    files: &BTreeMap<String, PathBuf>,
) -> Result<Vec<(String, Secret)>> {
    let in_file = |(name, path): (&String, &PathBuf)| Ok((name.clone(), read_value(path)?));
    let in_files = files.iter().map(in_file);
    let all = written.into_iter().map(Ok).chain(in_files).collect::<Result<Vec<_>>>()?;
    for (name, value) in &all {
        // What is wrong with a value is not told: it would be shown.
        if name.parse::<HeaderName>().is_err() || HeaderValue::from_str(value).is_err() {
            bail!("\"{name}\" is no header, or its value cannot be one");
        }
    }
    Ok(all.into_iter().map(|(name, value)| (name, Secret(value))).collect())
}

fn read_value(path: &Path) -> Result<String> {
    let text = fs::read_to_string(path);
    Ok(text.with_context(|| format!("cannot read {}", path.display()))?.trim().to_owned())
}

/// `None`: all of them.
fn some(named: Vec<String>) -> Option<BTreeSet<String>> {
    (!named.iter().any(|it| it == "*")).then(|| named.into_iter().collect())
}

fn statuses(named: Vec<String>) -> Result<Option<BTreeSet<Status>>> {
    let read = |name: String| {
        let name = name.to_ascii_uppercase();
        serde_json::from_value(name.as_str().into()).with_context(|| {
            format!("statuses: there is no {name}; RUNNING is one, and \"*\" is all of them")
        })
    };
    some(named).map(|named| named.into_iter().map(read).collect()).transpose()
}

/// `[scheduler.audit]`: how much is kept of who did what.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct AuditTable {
    age_max: Option<String>,
    entries_max: Option<u64>,
}

impl AuditTable {
    pub(super) fn read(&self) -> Result<Keep> {
        let usual = Keep::default();
        Ok(Keep {
            count: self.entries_max.unwrap_or(usual.count),
            age: time("scheduler.audit.age_max", &self.age_max, usual.age)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn hook(toml: &str) -> Result<Hook> {
        let table = toml::from_str::<WebhookTable>(&format!("name = 'a'\n{toml}"))?;
        Ok(read(vec![table])?.remove(0))
    }

    #[test]
    fn nothing_said_is_everything() {
        let hook = hook("url = 'https://hooks.example/x'").unwrap();
        assert_eq!((hook.filter, hook.pace), (Filter::default(), Pace::default()));
        assert_eq!(AuditTable::default().read().unwrap(), Keep::default());
    }

    #[test]
    fn what_is_said_counts_and_secrets_are_read_from_files() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("token");
        fs::write(&file, "Bearer xyz\n").unwrap();
        let toml = format!(
            "url = 'http://h/'\nstatuses = ['failed', 'LOST']\nroles = ['www']\nkinds = ['task']\n\
             timeout = '2s'\nwaiting_max = 7\nage_max = '1 hour'\nheaders = {{ x-a = 'b' }}\n\
             header_files = {{ authorization = {:?} }}",
            file.display()
        );
        let hook = hook(&toml).unwrap();
        let (a, secret) = (Secret("b".into()), Secret("Bearer xyz".into()));
        assert_eq!(hook.headers, [("x-a".into(), a), ("authorization".into(), secret)]);
        assert!(!format!("{hook:?}").contains("xyz"), "{hook:?}");
        let Filter { kinds, statuses, roles } = hook.filter;
        assert_eq!(statuses, Some([Status::Failed, Status::Lost].into()));
        assert_eq!((roles, kinds), (Some(["www".to_owned()].into()), [Kind::Task].into()));
        let pace = &hook.pace;
        assert_eq!((pace.timeout, pace.waiting_max), (Duration::from_secs(2), 7));
        assert_eq!(pace.age_max, Duration::from_secs(3600));
    }

    #[test]
    fn what_is_wrong_is_told_and_values_of_headers_are_not() {
        for (toml, told) in [
            ("url = 'ftp://h/'", "url begins with"),
            ("url = 'h'", "url begins with"),
            ("url = 'http://h/'\nstatuses = ['ASLEEP']", "there is no ASLEEP"),
            ("url = 'http://h/'\nkinds = []", "kinds is"),
            ("url = 'http://h/'\nkinds = ['job']", "unknown variant"),
            ("url = 'http://h/'\nwaiting_max = 0", "waiting_max"),
            ("url = 'http://h/'\ntimeout = 'soon'", "timeout"),
            ("url = 'http://h/'\nheader_files = { x = '/nowhere' }", "/nowhere"),
            ("url = 'http://h/'\nheaders = { x = \"secret\\n\" }", "\"x\" is no header"),
            ("url = 'http://h/'\nstatus = 'x'", "unknown field `status`"),
        ] {
            let error = format!("{:#}", hook(toml).unwrap_err());
            assert!(error.contains(told) && !error.contains("secret"), "{toml}: {error}");
        }
        let twice = || toml::from_str("name = 'a'\nurl = 'http://h/'").unwrap();
        assert!(read(vec![twice(), twice()]).unwrap_err().to_string().contains("\"a\""));
    }
}
