//! Which of those that announce themselves in the local network are the schedulers that somebody
//! looks for.
//!
//! An announcement proves nothing: anybody can make one. It says where to knock; who answers there
//! has to prove who it is. So the worst that a false one can do is to be tried in vain.

use std::net::SocketAddr;

/// A scheduler as it announces itself.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Sighting {
    pub cluster: String,
    /// Its authority's fingerprint. Two clusters may have the same name, but not this.
    pub authority: String,
    pub addrs: Vec<SocketAddr>,
}

/// Whose schedulers are looked for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Sought {
    /// `None`: whatever it calls itself.
    pub cluster: Option<String>,
    /// Known from the token, or from one's own certificate.
    pub authority: String,
}

/// How much of a fingerprint is shown to people.
const SHOWN: usize = 12;

impl Sought {
    /// Where to knock. Addresses that need no more than themselves come first, then those of the
    /// older kind, which every network has.
    pub fn addrs(&self, seen: &[Sighting]) -> Vec<SocketAddr> {
        let ours = seen.iter().filter(|it| self.is(it));
        let mut addrs: Vec<_> = ours.flat_map(|it| it.addrs.iter().copied()).collect();
        addrs.sort_by_key(|it| (it.is_ipv6(), *it));
        addrs.dedup();
        addrs
    }

    fn is(&self, sighting: &Sighting) -> bool {
        self.authority == sighting.authority
            && self.cluster.as_ref().is_none_or(|it| *it == sighting.cluster)
    }

    /// What to tell whoever waits for this in vain, and what to do about it.
    pub fn in_vain(&self, seen: &[Sighting]) -> String {
        let others: Vec<_> =
            seen.iter().filter(|it| !self.is(it)).map(|it| self.why_not(it)).collect();
        let others = match others.as_slice() {
            [] => "nobody announces any here".to_owned(),
            others => format!("there is {}", others.join("; ")),
        };
        format!(
            "no scheduler of {self} has been found yet: {others}. If one runs, it may be where \
             multicast does not come from, or its mesh may listen on loopback only; its address can be \
             given with --join HOST:PORT"
        )
    }

    fn why_not(&self, it: &Sighting) -> String {
        let at = it.addrs.first().map(|it| format!(" at {it}")).unwrap_or_default();
        let Sighting { cluster, authority, .. } = it;
        if *authority == self.authority {
            format!("cluster {cluster}{at}, which has this authority and another name")
        } else if self.cluster.as_ref() == Some(cluster) {
            format!("another cluster {cluster}{at}, of authority {}", shown(authority))
        } else {
            format!("cluster {cluster}{at}")
        }
    }
}

impl std::fmt::Display for Sought {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let authority = shown(&self.authority);
        match &self.cluster {
            Some(cluster) => write!(f, "cluster {cluster} (authority {authority})"),
            None => write!(f, "authority {authority}"),
        }
    }
}

fn shown(authority: &str) -> String {
    authority.chars().take(SHOWN).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sighting(cluster: &str, authority: &str, addrs: &[&str]) -> Sighting {
        let addrs = addrs.iter().map(|it| it.parse().unwrap()).collect();
        Sighting { cluster: cluster.into(), authority: authority.into(), addrs }
    }

    fn sought(cluster: Option<&str>) -> Sought {
        Sought { cluster: cluster.map(str::to_owned), authority: "aaaaaaaaaaaaaaaa".into() }
    }

    fn seen() -> Vec<Sighting> {
        vec![
            sighting("west", "bbbbbbbbbbbbbbbb", &["10.0.0.1:8082"]),
            sighting("west", "aaaaaaaaaaaaaaaa", &["[fd00::2]:8082", "10.0.0.2:8082"]),
            sighting("west", "aaaaaaaaaaaaaaaa", &["10.0.0.3:8082", "10.0.0.2:8082"]),
            sighting("east", "cccccccccccccccc", &["10.0.0.4:8082"]),
            sighting("old", "aaaaaaaaaaaaaaaa", &["10.0.0.5:8082"]),
        ]
    }

    fn text(addrs: &[SocketAddr]) -> String {
        addrs.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn name_and_authority_have_to_be_right() {
        let addrs = sought(Some("west")).addrs(&seen());
        assert_eq!(text(&addrs), "10.0.0.2:8082 10.0.0.3:8082 [fd00::2]:8082");
        let addrs = sought(None).addrs(&seen());
        assert_eq!(text(&addrs), "10.0.0.2:8082 10.0.0.3:8082 10.0.0.5:8082 [fd00::2]:8082");
        assert!(sought(Some("south")).addrs(&seen()).is_empty());
    }

    #[test]
    fn whoever_waits_in_vain_is_told_who_else_is_there() {
        let told = sought(Some("north")).in_vain(&seen()[3..]);
        assert!(
            told.starts_with(
                "no scheduler of cluster north (authority aaaaaaaaaaaa) has been found yet: there is \
                 cluster east at 10.0.0.4:8082; cluster old at 10.0.0.5:8082, which has this authority \
                 and another name. If"
            ),
            "{told}"
        );
        let told = sought(Some("west")).in_vain(&seen()[..1]);
        assert!(told.contains("another cluster west at 10.0.0.1:8082, of authority bbbbbbbbbbbb"));
        assert!(told.ends_with("--join HOST:PORT"));
        assert!(sought(None).in_vain(&[]).contains("nobody announces any here"));
    }
}
