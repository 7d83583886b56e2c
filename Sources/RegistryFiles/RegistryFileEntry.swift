public import RegistryModel

/// What a registry file says, one thing at a time, in its order.
public enum RegistryFileEntry: Equatable, Sendable {
    /// `[HKEY_LOCAL_MACHINE\Software\Acme]`: that key is there; the values after it are its.
    case key(RegistryPath)
    /// `[-HKEY_LOCAL_MACHINE\Software\Acme]`: that key is not there, nor anything below it.
    case deletedKey(RegistryPath)
    /// `"name"=…`; `@=…` for the default value.
    case value(name: RegistryValueName, RegistryValue)
    /// `"name"=-`: that value is not there.
    case deletedValue(name: RegistryValueName)
}
