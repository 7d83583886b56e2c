#if Hives
    public import AccessControl
    public import RegistryModel

    /// A key as a hive file has it.
    public struct HiveKey: Sendable {
        /// A value of a key.
        public struct Value: Equatable, Sendable {
            /// Its name; empty for the default value.
            public let name: RegistryValueName
            /// What it holds.
            public let value: RegistryValue
        }

        /// The names on the way from the hive's first key, which has none, whatever the file calls it.
        public let names: [RegistryKeyName]
        /// The class name, where the key has one.
        public let className: String?
        /// The last-write time, in units of 100 ns since 1601 (FILETIME).
        public let lastWrite: UInt64
        /// Whether it is a symbolic link: where to says its value `SymbolicLinkValue`.
        public let isLink: Bool
        /// Who may do what with it; nil where the file does not say.
        public let descriptor: SecurityDescriptor?
        /// In the file's order.
        public let values: [Value]
    }
#endif
