//! The ports of a task that nobody but the user gives ports to.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{Ipv4Addr, TcpListener},
    ops::RangeInclusive,
};

use airglow_model::config::Ports;

/// Where agents take them from too: no system gives these out by itself.
const CHOICE: RangeInclusive<u16> = 31_000..=32_000;

/// `-P name:port`
pub(super) fn given(text: &str) -> Result<(String, u16), String> {
    let (name, port) = text.split_once(':').unwrap_or_default();
    match port.parse() {
        Ok(port) if 0 < port && !name.is_empty() => Ok((name.to_owned(), port)),
        _ => Err("a port is written name:number, such as http:8080".into()),
    }
}

/// What the user gave, and free ones for the other names.
///
/// # Errors
/// One name has two ports, or there are not enough of them; a sentence for the user.
pub(super) fn complete(
    given: &[(String, u16)],
    wanted: &BTreeSet<String>,
) -> Result<Ports, String> {
    let mut ports: Ports = BTreeMap::new();
    for (name, port) in given {
        if ports.insert(name.clone(), *port).is_some_and(|it| it != *port) {
            return Err(format!("Port {name} has two numbers"));
        }
    }
    let mut rest = CHOICE.filter(|it| !given.iter().any(|(_, port)| port == it));
    let missing: Vec<_> = wanted.iter().filter(|it| !ports.contains_key(*it)).collect();
    let mut unbound = Vec::new();
    for name in missing {
        match rest.find(|port| is_free(*port)) {
            Some(port) => drop(ports.insert(name.clone(), port)),
            None => unbound.push(name.as_str()),
        }
    }
    if unbound.is_empty() {
        Ok(ports)
    } else {
        Err(format!("Unbound ports: {}", unbound.join(" ")))
    }
}

fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_has_a_name_and_a_number() {
        assert_eq!(given("http:80"), Ok(("http".into(), 80)));
        for bad in ["http", "http:", ":80", "http:x", "http:0", "http:70000", "http:80:81"] {
            assert!(given(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_is_not_given_is_chosen() {
        let wanted = ["admin", "http"].map(str::to_owned).into();
        let own = |name: &str, port| (name.to_owned(), port);
        let ports = complete(&[own("http", 80), own("more", 31_000)], &wanted).unwrap();
        assert_eq!((ports["http"], ports["more"], ports.len()), (80, 31_000, 3));
        assert!(CHOICE.contains(&ports["admin"]) && ports["admin"] != 31_000);
        assert!(complete(&[own("http", 80), own("http", 81)], &wanted).is_err());
    }
}
