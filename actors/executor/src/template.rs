//! What only the host knows, put into the command lines: `{{thermos.ports[http]}}` and the like.

use std::collections::BTreeMap;

use airglow_model::{
    config::Ports,
    spec::Announcer,
    template::{Reference, render},
    wire::Launch,
};

/// Values by the text between the braces.
pub(crate) type Names = BTreeMap<String, String>;

/// What a task's command lines may refer to on this host.
///
/// # Errors
/// The port map leads in a circle.
pub(crate) fn names(launch: &Launch, host: &str, user: &str) -> Result<Names, String> {
    let ports = ports(launch.config.spec.announce.as_ref(), &launch.ports)?;
    let mut names: Names = ports
        .into_iter()
        .map(|(name, port)| (format!("thermos.ports[{name}]"), port.to_string()))
        .collect();
    names.insert("thermos.task_id".into(), launch.task_id.0.clone());
    names.insert("thermos.user".into(), user.into());
    names.insert("mesos.instance".into(), launch.task.instance.to_string());
    names.insert("mesos.hostname".into(), host.into());
    Ok(names)
}

/// Every port by all of its names: those that were given out, and the announcement's other names
/// for them or for numbers that are fixed.
fn ports(announce: Option<&Announcer>, given: &Ports) -> Result<Ports, String> {
    let mut ports = given.clone();
    let Some(Announcer { primary_port, portmap, .. }) = announce else { return Ok(ports) };
    for name in portmap.keys() {
        let mut target = name.as_str();
        let mut steps = 0;
        let number = loop {
            if let Some(number) = given.get(target).copied().or_else(|| target.parse().ok()) {
                break Some(number);
            }
            match portmap.get(target).map(String::as_str) {
                Some("{{primary_port}}") => target = primary_port,
                Some(next) => target = next,
                None => break None,
            }
            steps += 1;
            if portmap.len() < steps {
                return Err("Found cycle in portmap!".to_owned());
            }
        };
        ports.extend(number.map(|it| (name.clone(), it)));
    }
    Ok(ports)
}

/// # Errors
/// The text refers to something that has no value here.
pub(crate) fn bind(text: &str, names: &Names) -> Result<String, String> {
    let mut unbound = Vec::new();
    let value = |reference: &Reference| {
        let name = reference.to_string();
        let value = names.get(&name).cloned();
        if value.is_none() {
            unbound.push(name);
        }
        value
    };
    let bound = render(text, value).map_err(|it| it.to_string())?;
    if unbound.is_empty() {
        Ok(bound)
    } else {
        Err(format!("Unexpected unbound refs: {}", unbound.join(" ")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn announce(portmap: &[(&str, &str)]) -> Announcer {
        let own = |(a, b): &(&str, &str)| ((*a).to_owned(), (*b).to_owned());
        Announcer { portmap: portmap.iter().map(own).collect(), ..Announcer::default() }
    }

    #[test]
    fn references_are_replaced_or_named_in_the_complaint() {
        let names = Names::from([("thermos.ports[http]".into(), "31000".into())]);
        let bind = |text| bind(text, &names);
        assert_eq!(bind("serve {{thermos.ports[http]}}").unwrap(), "serve 31000");
        assert_eq!(bind("{{&thermos.ports[http]}} {{").unwrap(), "{{thermos.ports[http]}} {{");
        let error = bind("{{thermos.ports[x]}} {{mesos.y}}").unwrap_err();
        assert_eq!(error, "Unexpected unbound refs: thermos.ports[x] mesos.y");
    }

    #[test]
    fn e16_ports_go_by_all_their_names() {
        let given = Ports::from([("http".into(), 1234)]);
        let of = |portmap| ports(Some(&announce(portmap)), &given);
        let http = ("http".to_owned(), 1234);
        let aurora = ("aurora".to_owned(), 1234);
        assert_eq!(of(&[("aurora", "http")]), Ok(Ports::from([http.clone(), aurora.clone()])));
        assert_eq!(of(&[("aurora", "{{primary_port}}")]), Ok(Ports::from([http.clone(), aurora])));
        assert_eq!(of(&[("a", "80")]), Ok(Ports::from([http.clone(), ("a".to_owned(), 80)])));
        assert_eq!(of(&[("a", "b"), ("b", "a")]), Err("Found cycle in portmap!".to_owned()));
        assert_eq!(of(&[("a", "nothing")]), Ok(Ports::from([http])));
    }
}
