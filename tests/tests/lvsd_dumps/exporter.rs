//! keepalived's files by the rules of the programs that read them: two Prometheus exporters whose rules differ.

use std::collections::BTreeMap;

/// Counters of one instance, by section and label (`Packet Errors/TTL`).
pub(crate) type Counters = BTreeMap<String, u64>;

/// mehdy/keepalived-exporter (and those that came from it): counters by instance. A label may stand in a section; every
/// value is a whole number.
pub(crate) fn stats(text: &str) -> BTreeMap<String, Counters> {
    let mut stats: BTreeMap<String, Counters> = BTreeMap::new();
    let (mut instance, mut section) = (String::new(), String::new());
    for line in text.lines() {
        if line.starts_with("VRRP Instance") && line.contains(':') {
            instance = part(line, ':', 1);
            stats.insert(instance.clone(), Counters::new());
        } else if line.starts_with("  ") && line.ends_with(':') {
            section = part(line, ':', 0);
        } else if line.starts_with("    ") || line.starts_with("  ") {
            if !line.starts_with("    ") {
                section.clear();
            }
            let value = part(line, ':', 1).parse().expect("a whole number");
            let label = format!("{section}/{}", part(line, ':', 0));
            stats.get_mut(&instance).expect("an instance comes first").insert(label, value);
        } else {
            assert_eq!(line, "", "no exporter understands it");
        }
    }
    stats
}

/// What exporters take from the data.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Instance {
    pub(crate) state: String,
    pub(crate) wanted_state: String,
    pub(crate) interface: String,
    pub(crate) garp_delay: String,
    pub(crate) vrid: String,
    /// Address and interface.
    pub(crate) vips: Vec<(String, String)>,
}

/// mehdy/keepalived-exporter: instances by name.
pub(crate) fn data(text: &str) -> BTreeMap<String, Instance> {
    let mut data: BTreeMap<String, Instance> = BTreeMap::new();
    let (mut name, mut key) = (String::new(), String::new());
    for line in text.lines() {
        if line.starts_with(" VRRP Instance") && line.contains('=') {
            name = part(line, '=', 1);
            data.insert(name.clone(), Instance::default());
        } else if line.starts_with("   ") && !name.is_empty() {
            let value = if line.starts_with("     ") {
                line.trim().to_owned()
            } else {
                let separator = if line.contains('=') { '=' } else { ':' };
                if !line.contains(separator) {
                    continue;
                }
                key = part(line, separator, 0);
                part(line, separator, 1)
            };
            let instance = data.get_mut(&name).expect("it was inserted");
            if key.starts_with("Virtual IP (") && !value.is_empty() {
                let words: Vec<&str> = value.split(' ').collect();
                instance.vips.push((words[0].to_owned(), words[2].to_owned()));
            }
            match &*key {
                "State" => instance.state = value,
                "Wantstate" => instance.wanted_state = value,
                "Interface" => instance.interface = value,
                "Gratuitous ARP delay" => instance.garp_delay = value,
                "Virtual Router ID" => instance.vrid = value,
                _ => {}
            }
        } else {
            name.clear();
        }
    }
    data
}

/// gen2brain/keepalived_exporter: name, state, interface, identifier and time of the last transition, in the order of the file.
/// Its blocks end with the first line that is no `Label = value`, and the last one needs such a line.
pub(crate) fn brief(text: &str) -> Vec<(String, String, String, String, f64)> {
    let mut all = Vec::new();
    let mut now: Option<(String, String, String, String, f64)> = None;
    for line in text.lines() {
        if line.starts_with(" VRRP Instance") && line.contains('=') {
            now = Some((part(line, '=', 1), String::new(), String::new(), String::new(), 0.0));
        } else if let (true, Some(instance)) = (line.starts_with("   ") && line.contains('='), &mut now) {
            let value = part(line, '=', 1);
            match &*part(line, '=', 0) {
                "State" => instance.1 = value,
                "Interface" => instance.2 = value,
                "Virtual Router ID" => instance.3 = value,
                "Last transition" => {
                    instance.4 =
                        value.split(' ').next().and_then(|word| word.parse().ok()).expect("a number");
                }
                _ => {}
            }
        } else if !line.starts_with(" VRRP Version") {
            all.extend(now.take());
        }
    }
    all
}

/// mehdy/keepalived-exporter: status and state of the tracked scripts, by name.
pub(crate) fn scripts(text: &str) -> BTreeMap<String, (String, String)> {
    let mut scripts: BTreeMap<String, (String, String)> = BTreeMap::new();
    let mut name = String::new();
    for line in text.lines() {
        if line.starts_with(" VRRP Script") && line.contains('=') {
            name = part(line, '=', 1);
            scripts.insert(name.clone(), Default::default());
        } else if line.starts_with("   ") && !name.is_empty() {
            let script = scripts.get_mut(&name).expect("it was inserted");
            match &*part(line, '=', 0) {
                "Status" => script.0 = part(line, '=', 1),
                "State" => script.1 = part(line, '=', 1),
                _ => {}
            }
        } else if !line.starts_with("    ") {
            name.clear();
        }
    }
    scripts
}

fn part(line: &str, separator: char, place: usize) -> String {
    line.trim().split(separator).nth(place).unwrap_or_default().trim().to_owned()
}
