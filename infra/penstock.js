#!/usr/bin/env node
// `penstock`, from any Node.
import { launch } from './launch.js'

launch('infra/penstock.ts', process.argv.slice(2))
