#if Hives
    /// Why a hive file cannot be read.
    public enum HiveError: Error, Equatable, CustomStringConvertible {
        /// The system did not hand the file out: the sentence says why.
        case system(String)
        /// The file is no hive, or one that is damaged from the start.
        case notAHive(String)
        /// Something in it contradicts itself or the format: what was read until then may be all that can be had.
        case damaged(String)
        /// It holds what no registry of ours takes: a name that is too long, a path that is too deep.
        case unsayable(String)

        /// One sentence for a person.
        public var description: String {
            switch self {
            case .system(let text), .notAHive(let text), .damaged(let text), .unsayable(let text): text
            }
        }
    }
#endif
