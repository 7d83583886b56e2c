/// The descriptors that `guise-gss` has of the authority.
package enum GSSDescriptor {
    /// Requests come here, one packet each; so do the answers go.
    package static let authority: Int32 = 0
    package static let keytab: Int32 = 3
    package static let replayCache: Int32 = 4
    /// The same as the first, for what asks no KDC: of each only one request at a time.
    package static let lanes: Range<Int32> = 5..<9
}
