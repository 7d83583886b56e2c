/// The version of Guise, of all its programs: semantic versioning.
package let guiseVersion = "0.1.0"
