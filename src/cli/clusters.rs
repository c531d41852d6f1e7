//! Which clusters there are, and where their schedulers answer.
//!
//! Aurora's own files are read as they are: first the system's, then the user's, whose entries win.
//! Of an entry only the name, `scheduler_uri` and `proxy_url` matter here. Without any such file
//! there is one cluster, whatever it calls itself: the agent on this machine.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::exit::{Code, Failure};

/// Where an agent on this machine answers.
pub(crate) const LOCAL_AGENT: &str = "http://127.0.0.1:8081";

/// Where one cluster's scheduler answers, and how its pages' addresses begin.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Address {
    pub(crate) api: String,
    pub(crate) pages: String,
    /// A file with the authorities by which it is believed.
    pub(crate) cacert: Option<PathBuf>,
}

/// All that are known, by name.
#[derive(Debug, Default)]
pub(crate) struct Clusters {
    known: BTreeMap<String, Entry>,
    /// Set on the command line or in the environment: the scheduler of whatever cluster is named.
    everywhere: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize, Serialize)]
struct Entry {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    scheduler_uri: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    proxy_url: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cacert: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    zk: Option<String>,
    /// What others find in it.
    #[serde(flatten)]
    more: Map<String, Value>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum File {
    List(Vec<Entry>),
    Named(BTreeMap<String, Entry>),
}

impl Address {
    fn new(api: &str, pages: Option<&str>) -> Self {
        let api = with_scheme(api);
        let pages = pages.map_or_else(|| api.clone(), with_scheme);
        Self { api, pages, cacert: None }
    }
}

impl Clusters {
    /// # Errors
    /// A file is there and cannot be read, or is not a list of clusters.
    pub(crate) fn find(everywhere: Option<String>) -> Result<Self, Failure> {
        let mut clusters = Self { everywhere, ..Self::default() };
        if clusters.everywhere.is_none() {
            for file in files() {
                clusters.add(&file)?;
            }
        }
        Ok(clusters)
    }

    fn add(&mut self, file: &Path) -> Result<(), Failure> {
        let text = match fs::read_to_string(file) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => {
                let file = file.display();
                return Err(Failure::new(Code::Configuration, format!("{file}: {error}")));
            }
        };
        let entries = read(&text).map_err(|why| {
            let file = file.display();
            Failure::new(Code::Configuration, format!("{file} is not a list of clusters: {why}"))
                .hint("It looks like this: [{\"name\": \"example\", \"scheduler_uri\": \"http://HOST:8081\"}]")
        })?;
        self.known.extend(entries);
        Ok(())
    }

    /// # Errors
    /// The cluster is unknown, or known without an address.
    pub(crate) fn address(&self, cluster: &str) -> Result<Address, Failure> {
        if let Some(uri) = &self.everywhere {
            return Ok(Address::new(uri, None));
        }
        if self.known.is_empty() {
            return Ok(Address::new(LOCAL_AGENT, None));
        }
        let entry = self.known(cluster)?;
        match (&entry.scheduler_uri, &entry.zk) {
            (Some(uri), _) => {
                let address = Address::new(uri, entry.proxy_url.as_deref());
                Ok(Address { cacert: entry.cacert.clone(), ..address })
            }
            (None, zookeeper) => {
                let why = if zookeeper.is_some() {
                    " only ZooKeeper, which is not used"
                } else {
                    " nothing"
                };
                Err(Failure::new(
                    Code::Configuration,
                    format!("Cluster {cluster} has{why} in clusters.json to find its scheduler by"),
                )
                .hint("Give it a scheduler_uri such as http://HOST:8081"))
            }
        }
    }

    fn known(&self, cluster: &str) -> Result<&Entry, Failure> {
        self.known.get(cluster).ok_or_else(|| {
            let known = self.names().join(", ");
            Failure::new(Code::Configuration, format!("Unknown cluster: {cluster}"))
                .hint(format!("clusters.json knows {known}; --scheduler-uri names any scheduler"))
        })
    }

    /// Everything that is written about a cluster.
    ///
    /// # Errors
    /// The cluster is unknown.
    pub(crate) fn entry(&self, cluster: &str) -> Result<Value, Failure> {
        let entry = if self.everywhere.is_some() || self.known.is_empty() {
            let scheduler_uri = Some(self.address(cluster)?.api);
            Entry { name: Some(cluster.to_owned()), scheduler_uri, ..Entry::default() }
        } else {
            self.known(cluster)?.clone()
        };
        Ok(serde_json::to_value(entry).expect("it was read as JSON"))
    }

    /// The one that is meant when none is named.
    ///
    /// # Errors
    /// There are several.
    pub(crate) fn only(&self) -> Result<Address, Failure> {
        match self.names().as_slice() {
            [] => self.address(""),
            [one] => self.address(one),
            several => {
                let several = several.join(", ");
                Err(Failure::new(Code::InvalidParameter, format!("Which cluster? {several}")))
            }
        }
    }

    /// The clusters that a pattern means: one by its name, or `*` for all. `None` is the only one
    /// there is, whose name its own scheduler knows.
    pub(crate) fn matching(&self, pattern: &str) -> Vec<Option<String>> {
        match pattern {
            "*" if self.known.is_empty() => vec![None],
            "*" => self.names().into_iter().map(Some).collect(),
            name => vec![Some(name.to_owned())],
        }
    }

    fn names(&self) -> Vec<String> {
        self.known.keys().cloned().collect()
    }
}

/// In the order in which they are read; a later one's entries replace an earlier one's.
fn files() -> Vec<PathBuf> {
    let system = std::env::var_os("AURORA_CONFIG_ROOT").unwrap_or_else(|| "/etc/aurora".into());
    let user = etcetera::home_dir().map(|home| home.join(".aurora"));
    [PathBuf::from(system)].into_iter().chain(user).map(|it| it.join("clusters.json")).collect()
}

/// JSON; and since the example that everybody copies has commas too many, JSON as YAML sees it,
/// where they are allowed.
fn read(text: &str) -> Result<BTreeMap<String, Entry>, String> {
    let file: File = serde_json::from_str(text)
        .or_else(|json| serde_yaml_ng::from_str(text).map_err(|_| json.to_string()))?;
    let entries = match file {
        File::List(entries) => entries,
        File::Named(entries) => entries.into_values().collect(),
    };
    Ok(entries.into_iter().filter_map(|it| Some((it.name.clone()?, it))).collect())
}

fn with_scheme(uri: &str) -> String {
    let uri = uri.trim_end_matches('/');
    if uri.contains("://") { uri.to_owned() } else { format!("http://{uri}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(files: &[&str]) -> Clusters {
        let mut clusters = Clusters::default();
        for file in files {
            clusters.known.extend(read(file).unwrap());
        }
        clusters
    }

    #[test]
    fn the_second_file_wins_and_nameless_entries_are_ignored() {
        let clusters = from(&[
            r#"[{"name": "a", "scheduler_uri": "http://one:1"}, {"scheduler_uri": "http://lost"}]"#,
            r#"{"x": {"name": "a", "scheduler_uri": "two:2/", "proxy_url": "https://vip", "more": 1}}"#,
        ]);
        let address = clusters.address("a").unwrap();
        assert_eq!((address.api.as_str(), address.pages.as_str()), ("http://two:2", "https://vip"));
        assert_eq!(clusters.names(), ["a"]);
    }

    #[test]
    fn the_documented_example_is_read_commas_and_all() {
        let clusters = from(&[
            "[{\n  \"name\": \"example\",\n  \"scheduler_uri\": \"localhost:55555\",\n}]\n",
        ]);
        assert_eq!(clusters.address("example").unwrap().api, "http://localhost:55555");
    }

    #[test]
    fn an_unknown_cluster_is_a_configuration_error() {
        let clusters = from(&[r#"[{"name": "a", "zk": "host"}]"#]);
        for name in ["b", "a"] {
            let Err(Failure::Told { code, .. }) = clusters.address(name) else { panic!("{name}") };
            assert_eq!(code, Code::Configuration);
        }
    }

    #[test]
    fn all_that_is_written_about_a_cluster_is_kept() {
        let text = r#"{"name": "a", "scheduler_uri": "u:1", "zk_port": 2181, "more": [1]}"#;
        let written: Value = serde_json::from_str(text).unwrap();
        assert_eq!(from(&[&format!("[{text}]")]).entry("a").unwrap(), written);
        let local = Clusters::default().entry("b").unwrap();
        assert_eq!(local["scheduler_uri"], LOCAL_AGENT);
        assert!(from(&[&format!("[{text}]")]).entry("b").is_err());
    }

    #[test]
    fn another_layout_is_refused() {
        for bad in ["1", "\"a\"", "[1]", "{", "{\"name\": \"a\"}"] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn without_any_file_it_is_the_agent_on_this_machine() {
        let clusters = Clusters::default();
        assert_eq!(clusters.address("whatever").unwrap().api, LOCAL_AGENT);
        assert_eq!(clusters.matching("*"), [None]);
        assert_eq!(clusters.matching("c"), [Some("c".into())]);
    }
}
