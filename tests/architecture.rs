//! The layers, checked: a new arrow between packages is a decision, so it has to be made here too.

const LAYERS: &[(&str, &[&str])] = &[
    ("airglow-model", &[]),
    ("airglow-kit", &["airglow-model"]),
    ("airglow-store", &["airglow-model"]),
    ("airglow-scheduler", &["airglow-model", "airglow-kit", "airglow-store"]),
    ("airglow-executor", &["airglow-model", "airglow-kit"]),
    ("airglow-web", &["airglow-model", "airglow-scheduler"]),
];

/// What the innermost package may use from outside: it decides, and touches nothing. Of `jiff` it uses
/// the calendar and the rules of clocks that are compiled into it, never the clock or the files of
/// the machine.
const MODEL_MAY_USE: &[&str] = &["jiff", "serde", "serde_json"];

fn normal_dependencies(package: &serde_json::Value) -> Vec<&str> {
    let dependencies = package["dependencies"].as_array().unwrap().iter();
    dependencies.filter(|it| it["kind"].is_null()).map(|it| it["name"].as_str().unwrap()).collect()
}

#[test]
fn packages_depend_only_downwards() {
    let out = std::process::Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--offline", "--format-version=1"])
        .output()
        .unwrap();
    let metadata: serde_json::Value = serde_json::from_slice(&out.stdout).unwrap();
    for (name, allowed) in LAYERS {
        let packages = metadata["packages"].as_array().unwrap();
        let package = packages.iter().find(|it| it["name"] == *name).unwrap();
        for dependency in normal_dependencies(package) {
            let ours = dependency.starts_with("airglow");
            assert!(
                !ours || allowed.contains(&dependency),
                "{name} -> {dependency} is a new arrow; see ARCHITECTURE.md#layers"
            );
            assert!(
                *name != "airglow-model" || MODEL_MAY_USE.contains(&dependency),
                "the model decides and touches nothing; it cannot use {dependency}"
            );
        }
    }
}
