//! FRR's `daemons` file: which daemons run, and with which options.

/// One daemon.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Daemon {
    pub(crate) name: String,
    pub(crate) options: Vec<String>,
}

/// What the file asks for, in the order in which it must start: zebra first, and zebra and
/// staticd whatever the file says, as in FRR's own start script.
pub(crate) fn daemons(text: &str) -> Vec<Daemon> {
    let settings: Vec<(&str, &str)> = text
        .lines()
        .map(str::trim)
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split_once('='))
        .map(|(key, value)| (key.trim(), value.trim().trim_matches('"')))
        .collect();
    let wanted = settings
        .iter()
        .filter(|(_, value)| *value == "yes")
        .map(|(key, _)| *key)
        .filter(|key| !matches!(*key, "vtysh_enable" | "zebra" | "staticd"));
    ["zebra", "staticd"]
        .into_iter()
        .chain(wanted)
        .map(|name| {
            let key = format!("{name}_options");
            let options = settings.iter().find(|(k, _)| *k == key);
            Daemon {
                name: name.to_owned(),
                options: options.map_or_else(Vec::new, |(_, value)| {
                    value.split_whitespace().map(str::to_owned).collect()
                }),
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zebra_and_staticd_run_even_when_the_file_names_neither() {
        let text = "# bfdd=yes\nvtysh_enable=yes\nbgpd=yes\nospfd=no\n\
                    zebra_options=\"-A 127.0.0.1 -s 90000000\"\nbgpd_options=\"\"\n";
        let found = daemons(text);
        let names: Vec<&str> = found.iter().map(|d| d.name.as_str()).collect();
        assert_eq!(names, ["zebra", "staticd", "bgpd"]);
        assert_eq!(found[0].options, ["-A", "127.0.0.1", "-s", "90000000"]);
        assert!(found[2].options.is_empty());
    }
}
