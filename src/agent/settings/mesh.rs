//! What an agent is told of the network between it and others: where to listen, whether to announce
//! itself and look for others, and how long to do without them.

use std::{fmt, net::SocketAddr, time::Duration};

use anyhow::{Context, Result, bail};
use serde::{
    Deserialize, Deserializer,
    de::{self, MapAccess, Visitor, value::MapAccessDeserializer},
};

use crate::units;

/// `mesh = "0.0.0.0:8082"`, or the same as `listen` among others in a table.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct MeshTable {
    listen: Option<SocketAddr>,
    discovery: Option<bool>,
    /// How long tasks go on when no scheduler is heard: `"1h"`; absent: for ever.
    isolated_max: Option<String>,
}

#[derive(Debug, Eq, PartialEq)]
pub(crate) struct Mesh {
    pub(crate) listen: Option<SocketAddr>,
    /// Whether schedulers are announced and looked for in the local network.
    pub(crate) discovery: bool,
    pub(crate) isolated_max: Option<Duration>,
}

impl MeshTable {
    pub(super) fn read(&self) -> Result<Mesh> {
        let isolated_max = self.isolated_max.as_deref().map(units::duration).transpose();
        let isolated_max = isolated_max.context("mesh.isolated_max")?;
        if isolated_max.is_some_and(|it| it < ISOLATED_MIN) {
            bail!(
                "mesh.isolated_max is at least {} s: any hiccup of the network would end tasks",
                ISOLATED_MIN.as_secs()
            );
        }
        Ok(Mesh { listen: self.listen, discovery: self.discovery.unwrap_or(true), isolated_max })
    }
}

/// A link takes that long to find out that it has ended.
const ISOLATED_MIN: Duration = Duration::from_secs(20);

pub(super) fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<MeshTable, D::Error> {
    struct AddressOrTable;

    impl<'de> Visitor<'de> for AddressOrTable {
        type Value = MeshTable;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an address such as \"0.0.0.0:8082\", or a table with `listen`")
        }

        fn visit_str<E: de::Error>(self, text: &str) -> Result<MeshTable, E> {
            let listen =
                text.parse().map_err(|_| E::invalid_value(de::Unexpected::Str(text), &self))?;
            Ok(MeshTable { listen: Some(listen), ..MeshTable::default() })
        }

        fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<MeshTable, A::Error> {
            MeshTable::deserialize(MapAccessDeserializer::new(map))
        }
    }

    deserializer.deserialize_any(AddressOrTable)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Deserialize)]
    struct File {
        #[serde(default, deserialize_with = "read")]
        mesh: MeshTable,
    }

    fn mesh(toml: &str) -> Result<Mesh> {
        toml::from_str::<File>(toml)?.mesh.read()
    }

    #[test]
    fn an_address_alone_or_among_others() {
        let usual = Mesh { listen: None, discovery: true, isolated_max: None };
        assert_eq!(mesh("").unwrap(), usual);
        let listen = Some("0.0.0.0:8082".parse().unwrap());
        assert_eq!(mesh("mesh = \"0.0.0.0:8082\"").unwrap(), Mesh { listen, ..usual });
        let table = "[mesh]\nlisten = \"0.0.0.0:8082\"\ndiscovery = false\nisolated_max = \"1h\"";
        let isolated_max = Some(Duration::from_secs(3600));
        assert_eq!(mesh(table).unwrap(), Mesh { listen, discovery: false, isolated_max });
    }

    #[test]
    fn what_is_wrong_is_told_with_the_settings_name() {
        for (toml, told) in [
            ("mesh = \"here\"", "an address such as"),
            ("mesh = 8082", "an address such as"),
            ("[mesh]\nport = 1", "unknown field `port`"),
            ("[mesh]\nisolated_max = \"soon\"", "mesh.isolated_max"),
            ("[mesh]\nisolated_max = \"1s\"", "mesh.isolated_max is at least"),
        ] {
            let error = mesh(toml).unwrap_err();
            assert!(format!("{error:#}").contains(told), "{toml}: {error:#}");
        }
    }
}
