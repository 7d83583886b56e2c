/// Why a registry file cannot be read or written.
public enum RegistryFileError: Error, Equatable, CustomStringConvertible {
    /// The file breaks the format's rules: mend that line.
    case malformed(line: Int, reason: String)
    /// The system did not hand the file out or take it: the sentence says why.
    case system(String)
    /// What is to be written cannot be said in this format, or holds what no file of this kind may hold.
    case unsayable(String)

    /// One sentence for a person.
    public var description: String {
        switch self {
        case .malformed(let line, let reason): "line \(line): \(reason)"
        case .system(let sentence), .unsayable(let sentence): sentence
        }
    }
}
