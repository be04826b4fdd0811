//! Writes the inputs made of captures and fixtures into the corpus.

fn main() -> std::io::Result<()> {
    for (target, name, input) in fuzz::seeds::seeds() {
        let folder = fuzz::corpus(target);
        std::fs::create_dir_all(&folder)?;
        std::fs::write(folder.join(name), input)?;
    }
    Ok(())
}
