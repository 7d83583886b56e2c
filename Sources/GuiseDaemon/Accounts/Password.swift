import CGuise
import Glibc

/// A password as somebody said it, in memory of its own that is wiped when nobody needs it any more.
package final class Password: @unchecked Sendable {
    // Sendable by hand: the memory is written once, before anybody else has it, and wiped after everybody.

    /// The most bytes it may have.
    package static let largest = Int(GUISE_PASSWORD_LARGEST)

    /// With a terminator.
    private let bytes: UnsafeMutableBufferPointer<CChar>

    /// Takes a password out of what a process sent (``guise_secret_make``).
    ///
    /// - Throws: `badRequest` for what can be nobody's password.
    init(sentAs descriptor: Int32) throws(Refused) {
        bytes = .allocate(capacity: Self.largest + 1)
        bytes.initialize(repeating: 0)
        let length = guise_secret_read(descriptor, bytes.baseAddress, Self.largest)
        guard length > 0, !bytes[..<length].contains(0) else {
            throw Refused(
                .badRequest,
                length == -Int(EINVAL)
                    ? "a password is sent as a sealed memfd"
                    : "a password has 1 to \(Self.largest) bytes, none of them zero")
        }
    }

    /// Copies bytes that have no zero among them.
    package init?(_ text: some Collection<UInt8>) {
        guard (1...Self.largest).contains(text.count), !text.contains(0) else { return nil }
        bytes = .allocate(capacity: Self.largest + 1)
        bytes.initialize(repeating: 0)
        for (index, byte) in text.enumerated() { bytes[index] = CChar(bitPattern: byte) }
    }

    deinit {
        guise_wipe(bytes.baseAddress, bytes.count)
        bytes.deallocate()
    }

    /// Hashes it with a new salt. Takes some 30 ms and 16 MiB; `nil` where there is no memory.
    package func hash() -> PasswordHash? {
        PasswordHash.newSetting().flatMap(hash(by:)).flatMap { PasswordHash($0) }
    }

    /// Whether it is the one of a hash. Takes as long when there is none; `nil` where there is no memory.
    package func matches(_ hash: PasswordHash?) -> Bool? {
        guard let setting = hash?.text ?? PasswordHash.newSetting() else { return nil }
        guard let own = self.hash(by: setting) else { return nil }
        return guise_password_hash_is(own, setting) && hash != nil
    }

    /// Shows it, without a terminator.
    func withBytes<Result>(_ body: (UnsafeRawBufferPointer) -> Result) -> Result {
        body(
            UnsafeRawBufferPointer(start: bytes.baseAddress, count: strnlen(bytes.baseAddress!, bytes.count)))
    }

    private func hash(by setting: String) -> String? {
        withUnsafeTemporaryAllocation(of: CChar.self, capacity: Int(GUISE_PASSWORD_HASH_SIZE)) { out in
            guard guise_password_hash(bytes.baseAddress, setting, out.baseAddress) == 0 else { return nil }
            return String(cString: out.baseAddress!)
        }
    }
}

/// What is kept of a password: `$y$j9T$SALT$HASH`, crypt(5), yescrypt at the one cost that we use.
package struct PasswordHash: Sendable, Hashable {
    package let text: String

    private static let prefix = "$y$j9T$"

    /// `nil` for anything else than a hash of ours.
    package init?(_ text: String) {
        guard text.hasPrefix(Self.prefix), text.utf8.count < GUISE_PASSWORD_HASH_SIZE else { return nil }
        let parts = text.dropFirst(Self.prefix.count).split(separator: "$", omittingEmptySubsequences: false)
        guard parts.count == 2, !parts[0].isEmpty, parts[1].utf8.count == 43,
            parts.allSatisfy({ $0.utf8.allSatisfy(Self.isDigit) })
        else { return nil }
        self.text = text
    }

    /// Of the 64 that crypt(5) writes with.
    private static func isDigit(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "."), UInt8(ascii: "/"), UInt8(ascii: "0")...UInt8(ascii: "9"),
            UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "a")...UInt8(ascii: "z"):
            true
        default: false
        }
    }

    /// What a hash starts with: the cost, and a new salt.
    fileprivate static func newSetting() -> String? {
        withUnsafeTemporaryAllocation(of: CChar.self, capacity: Int(GUISE_PASSWORD_HASH_SIZE)) { out in
            guard guise_password_setting(out.baseAddress) == 0 else { return nil }
            return String(cString: out.baseAddress!)
        }
    }
}
