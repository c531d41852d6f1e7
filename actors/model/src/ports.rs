//! A task's ports by all their names: those that its host gave out, and the announcement's other
//! names for them or for numbers that are fixed.

use crate::{config::Ports, spec::Announcer};

/// Every port that the task may refer to, by each of its names. Names that lead nowhere are left
/// out: whoever refers to one is told so.
///
/// # Errors
/// The port map leads in a circle.
pub fn resolved(announce: Option<&Announcer>, given: &Ports) -> Result<Ports, String> {
    let mut ports = given.clone();
    let Some(announce) = announce else { return Ok(ports) };
    for name in announce.portmap.keys() {
        if let Some(number) = number_of(name, announce, given)? {
            ports.insert(name.clone(), number);
        }
    }
    Ok(ports)
}

/// Follows a name until it leads to a number. A port that was given out goes before an alias of the
/// same name.
fn number_of(name: &str, announce: &Announcer, given: &Ports) -> Result<Option<u16>, String> {
    let mut target = name;
    for _ in 0..=announce.portmap.len() {
        if let Some(number) = given.get(target).copied().or_else(|| target.parse().ok()) {
            return Ok(Some(number));
        }
        match announce.portmap.get(target).map(String::as_str) {
            Some("{{primary_port}}") => target = &announce.primary_port,
            Some(next) => target = next,
            None => return Ok(None),
        }
    }
    Err("Found cycle in portmap!".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `name=number` of all ports, those given out being `http=1234`.
    fn names(portmap: &[(&str, &str)]) -> String {
        let own = |(name, target): &(&str, &str)| ((*name).to_owned(), (*target).to_owned());
        let portmap = portmap.iter().map(own).collect();
        let announce = Announcer { portmap, ..Announcer::default() };
        match resolved(Some(&announce), &Ports::from([("http".into(), 1234)])) {
            Ok(ports) => ports.iter().map(|(name, port)| format!("{name}={port} ")).collect(),
            Err(why) => why,
        }
    }

    #[test]
    fn e16_ports_go_by_all_their_names() {
        assert_eq!(names(&[("aurora", "http")]), "aurora=1234 http=1234 ");
        assert_eq!(names(&[("aurora", "{{primary_port}}")]), "aurora=1234 http=1234 ");
        assert_eq!(names(&[("a", "80"), ("b", "a")]), "a=80 b=80 http=1234 ");
        assert_eq!(
            names(&[("a", "b"), ("b", "c"), ("c", "http")]),
            "a=1234 b=1234 c=1234 http=1234 "
        );
        assert_eq!(names(&[("a", "b"), ("b", "a")]), "Found cycle in portmap!");
        assert_eq!(names(&[("a", "a")]), "Found cycle in portmap!");
    }

    #[test]
    fn what_was_given_out_goes_before_an_alias_of_the_same_name() {
        assert_eq!(names(&[("http", "http")]), "http=1234 ");
        assert_eq!(names(&[("http", "80")]), "http=1234 ");
    }

    #[test]
    fn names_that_lead_nowhere_are_left_out() {
        assert_eq!(names(&[("a", "nothing"), ("b", "70000")]), "http=1234 ");
        assert_eq!(resolved(None, &Ports::new()), Ok(Ports::new()));
    }
}
