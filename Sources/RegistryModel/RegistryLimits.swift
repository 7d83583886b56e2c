/// How large things in a registry may be.
public enum RegistryLimits {
    /// The longest name of a key, in UTF-16 units.
    public static let keyName = 255
    /// The longest name of a value, in UTF-16 units.
    public static let valueName = 16_383
    /// The most keys on a path, its hive included.
    public static let depth = 512
    /// The largest value in bytes, unless the registry was told another limit.
    public static let value = 1 << 20
    /// The longest class name of a key, in UTF-16 units.
    public static let className = 255
    /// How many symbolic-link keys are followed on one path.
    public static let links = 32
}
