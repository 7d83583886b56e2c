public import RegistryModel

extension RegistryPath {
    /// Reads a path as registry files have it: `HKEY_LOCAL_MACHINE\Software\Acme`.
    ///
    /// `HKEY_CLASSES_ROOT`, on Windows a view of two keys, is the one that such files mean when they write:
    /// `Machine\Software\Classes`.
    ///
    /// - Throws: as ``RegistryPath/init(_:)``; `HKEY_CURRENT_CONFIG` and others are no hives here.
    public init(inFile text: String) throws(RegistryError) {
        var parts = Self.parts(text)
        let root = parts.removeFirst()
        let isClasses = ["HKEY_CLASSES_ROOT", "HKCR"].contains(root.uppercased())
        let start = try RegistryPath(isClasses ? #"Machine\Software\Classes"# : root)
        var names = start.names
        for part in parts { names.append(try RegistryKeyName(part)) }
        try self.init(start.hive, names)
    }

    /// The path as registry files have it: `HKEY_LOCAL_MACHINE\Software\Acme`.
    public var inFile: String { names.reduce(into: hive.inFile) { $0 += "\\" + $1.text } }
}

extension RegistryPath.Hive {
    /// The Windows name: `HKEY_LOCAL_MACHINE`.
    fileprivate var inFile: String {
        switch self {
        case .machine: "HKEY_LOCAL_MACHINE"
        case .users: "HKEY_USERS"
        case .currentUser: "HKEY_CURRENT_USER"
        }
    }
}
