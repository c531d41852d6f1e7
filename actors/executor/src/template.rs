//! What only the host knows, put into the command lines: `{{thermos.ports[http]}}` and the like.

use std::collections::BTreeMap;

use airglow_model::{
    config::Ports,
    template::{Reference, render},
    wire::Launch,
};

/// Values by the text between the braces.
pub(crate) type Names = BTreeMap<String, String>;

/// What a task's command lines may refer to on this host. `ports`: by all their names.
pub(crate) fn names(launch: &Launch, ports: &Ports, host: &str, user: &str) -> Names {
    let port = |(name, port): (&String, &u16)| (format!("thermos.ports[{name}]"), port.to_string());
    let mut names: Names = ports.iter().map(port).collect();
    names.insert("thermos.task_id".into(), launch.task_id.to_string());
    names.insert("thermos.user".into(), user.into());
    names.insert("mesos.instance".into(), launch.task.instance.to_string());
    names.insert("mesos.hostname".into(), host.into());
    names
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

    #[test]
    fn references_are_replaced_or_named_in_the_complaint() {
        let names = Names::from([("thermos.ports[http]".into(), "31000".into())]);
        let bind = |text| bind(text, &names);
        assert_eq!(bind("serve {{thermos.ports[http]}}").unwrap(), "serve 31000");
        assert_eq!(bind("{{&thermos.ports[http]}} {{").unwrap(), "{{thermos.ports[http]}} {{");
        let error = bind("{{thermos.ports[x]}} {{mesos.y}}").unwrap_err();
        assert_eq!(error, "Unexpected unbound refs: thermos.ports[x] mesos.y");
    }
}
