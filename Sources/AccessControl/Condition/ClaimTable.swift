/// The claims of a token in their binary form, side by side, so that a condition reads them as it reads the
/// attributes of a resource. The memory is flat and never changes after `init`; freeing it is the reason why
/// this is a class.
final class ClaimTable: @unchecked Sendable {
    private let memory: UnsafeMutableRawBufferPointer
    private let claims: [RawClaim]

    init(_ claims: [Claim]) {
        let encoded = claims.map(\.bytes)
        memory = .allocate(byteCount: max(encoded.reduce(0) { $0 + $1.count }, 1), alignment: 8)
        var raw: [RawClaim] = []
        var offset = 0
        for bytes in encoded {
            let place = UnsafeMutableRawBufferPointer(rebasing: memory[offset..<offset + bytes.count])
            place.copyBytes(from: bytes)
            offset += bytes.count
            // A claim that cannot be read back (its name is too long, say) is as if it were not there.
            if let claim = RawClaim(UnsafeRawBufferPointer(place)) { raw.append(claim) }
        }
        self.claims = raw
    }

    deinit { memory.deallocate() }

    /// The claim of this name that counts; deny-only ones count where `denying` only.
    func claim(named name: RawString, denying: Bool) -> RawClaim? {
        for claim in claims where claim.name.compare(name, caseSensitive: false) == 0 {
            if claim.flags.contains(.disabled) || (claim.flags.contains(.denyOnly) && !denying) { continue }
            return claim
        }
        return nil
    }
}
